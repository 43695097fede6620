package consume

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/clitest"
	"example.com/tidings/server/internal/cli/command"
)

func TestConsumePrintsAndAcknowledges(t *testing.T) {
	second := clitest.Delivery(2)
	second.Attempt, second.LastNackReason, second.Redriven = 3, "no stock", true
	server, told := consumeServer(delivering(clitest.Delivery(1), second))
	status, stdout, stderr := server.Run(t, commands, "", "consume", "work", "--until-idle", "200ms")
	if status != command.StatusOK || stderr != "2 events acknowledged\n" {
		t.Errorf("status %d, said %q", status, stderr)
	}
	want := `{"recorded":{"event":{"id":"e-1","source":"/s","partitionKey":"k","data":{"@type":"t/test.Plain"}},"topic":"plain","sequence":"1"},"attempt":1}
{"recorded":{"event":{"id":"e-2","source":"/s","partitionKey":"k","data":{"@type":"t/test.Plain"}},"topic":"plain","sequence":"2"},"attempt":3,"lastNackReason":"no stock","redriven":true}
`
	if stdout != want {
		t.Errorf("printed %s, want %s", stdout, want)
	}
	if got := told.sorted(); got != "1 ack, 2 ack" {
		t.Errorf("settled %s", got)
	}
}

func TestConsumeTakesNoMoreThanItsLimit(t *testing.T) {
	var window *tidingsv1.FlowControl
	server, told := consumeServer(func(c *fakeCall) error {
		open, err := c.opened(time.Minute)
		if err != nil {
			return err
		}
		window = open.GetWindow()
		if err := c.deliver(deliveries(3)...); err != nil {
			return err
		}
		return c.applyAll()
	})
	status, stdout, stderr := server.Run(t, commands, "", "consume", "work", "--limit", "2", "--events-only", "--window-bytes", "9")
	if status != command.StatusOK || strings.Count(stdout, "\n") != 2 || !strings.HasPrefix(stdout, `{"id":"e-1"`) {
		t.Errorf("status %d, printed %s, said %s", status, stdout, stderr)
	}
	if got := told.sorted(); got != "1 ack, 2 ack, 3 release" {
		t.Errorf("settled %s", got)
	}
	if window.GetMaxEvents() != 2 || window.GetMaxBytes() != 9 {
		t.Errorf("window %v", window)
	}
}

func TestCommandDecidesWhatBecomesOfItsEvent(t *testing.T) {
	const script = `
case $TIDINGS_ID in
e-1) ;;
e-2) echo first >&2; printf '  second\033 \377 \n\n' >&2; exit 3;;
e-3) exit 65;;
e-4) echo 'not an order' >&2; exit 65;;
e-5) kill -9 $$;;
e-6) exit 75;;
e-7) printf '%02000d' 0 >&2; exit 1;;
esac`
	server, told := consumeServer(delivering(deliveries(7)...))
	status, _, stderr := server.Run(t, commands, "", "consume", "work", "--until-idle", "200ms", "--", "sh", "-c", script)
	if status != command.StatusOK || !strings.HasSuffix(stderr, "\n1 event acknowledged, 4 retried, 2 dead-lettered\n") {
		t.Errorf("status %d, said %q", status, stderr)
	}
	want := []string{
		"1 ack", "2 retry: second \ufffd", "3 dead_letter: exit status 65", "4 dead_letter: not an order",
		"5 retry: signal: killed", "6 retry: exit status 75", "7 retry: " + strings.Repeat("0", 2000),
	}
	if got := told.sorted(); got != strings.Join(want, ", ") {
		t.Errorf("settled %s\n   want %s", got, strings.Join(want, ", "))
	}
}

func TestCommandKnowsItsEvent(t *testing.T) {
	one := clitest.Delivery(1)
	one.Attempt = 4
	one.Recorded.Event.Subject = "o-1"
	server, told := consumeServer(delivering(one))
	status, stdout, stderr := server.Run(t, commands, "", "consume", "work", "--limit", "1", "--", "sh", "-c",
		`cat; env | grep ^TIDINGS_ | grep -v SERVER= | sort; kill -0 -$$ && printf 'leads its process group'`)
	if status != command.StatusOK {
		t.Errorf("status %d, said %q", status, stderr)
	}
	want := `{"recorded":{"event":{"id":"e-1","source":"/s","subject":"o-1","partitionKey":"k","data":{"@type":"t/test.Plain"}},"topic":"plain","sequence":"1"},"attempt":4}
TIDINGS_ATTEMPT=4
TIDINGS_ID=e-1
TIDINGS_PARTITION_KEY=k
TIDINGS_SEQUENCE=1
TIDINGS_SOURCE=/s
TIDINGS_SUBJECT=o-1
TIDINGS_SUBSCRIPTION=work
TIDINGS_TOPIC=plain
TIDINGS_TYPE=test.Plain
leads its process group
`
	if stdout != want {
		t.Errorf("printed %s\n   want %s", stdout, want)
	}
	if got := told.sorted(); got != "1 ack" {
		t.Errorf("settled %s", got)
	}
}

func TestCommandsRunAtATime(t *testing.T) {
	server, told := consumeServer(delivering(deliveries(3)...))
	// Each waits until the others are there.
	dir := t.TempDir()
	status, stdout, stderr := server.Run(t, commands, "", "consume", "work", "--limit", "3", "--concurrency", "3", "--", "sh", "-c",
		`cd "$0" && touch $TIDINGS_ID && until [ -e e-1 ] && [ -e e-2 ] && [ -e e-3 ]; do :; done; echo a; echo b`, dir)
	if status != command.StatusOK || told.sorted() != "1 ack, 2 ack, 3 ack" {
		t.Errorf("status %d, settled %s, said %s", status, told.sorted(), stderr)
	}
	if strings.Count(stdout, "a\n") != 3 || strings.Count(stdout, "b\n") != 3 || len(stdout) != 12 {
		t.Errorf("printed %q", stdout)
	}
}

func TestDeadlineIsExtendedWhileACommandRuns(t *testing.T) {
	gate := newGate(t)
	extended := 0
	server, told := consumeServer(func(c *fakeCall) error {
		if _, err := c.opened(30 * time.Millisecond); err != nil {
			return err
		}
		if err := c.deliver(clitest.Delivery(1)); err != nil {
			return err
		}
		for {
			batch, err := c.settlements()
			if err != nil {
				return ignoreEOF(err)
			}
			if err := c.answer(results(len(batch), applied)); err != nil {
				return err
			}
			if batch[0].GetExtend() != nil {
				extended++
				if extended == 3 {
					if err := gate.open(); err != nil {
						return err
					}
				}
			}
		}
	})
	status, _, stderr := server.Run(t, commands, "", "consume", "work", "--until-idle", "200ms", "--", "cat", gate.path)
	if status != command.StatusOK || stderr != "1 event acknowledged\n" {
		t.Errorf("status %d, said %q", status, stderr)
	}
	if got := told.sorted(); extended < 3 || !strings.HasPrefix(got, "1 ack, 1 extend 30ms, ") {
		t.Errorf("extended %d times: %s", extended, got)
	}
}

func TestLostLeaseIsNotSettled(t *testing.T) {
	gate, stderr := newGate(t), newWatched()
	server, told := consumeServer(func(c *fakeCall) error {
		if _, err := c.opened(300 * time.Millisecond); err != nil {
			return err
		}
		if err := c.deliver(clitest.Delivery(1)); err != nil {
			return err
		}
		batch, err := c.settlements()
		if err != nil {
			return err
		}
		if err := c.answer(results(len(batch), leaseLost)); err != nil {
			return err
		}
		if err := stderr.await(t.Context(), "LEASE_LOST"); err != nil {
			return err
		}
		if err := gate.open(); err != nil {
			return err
		}
		return c.applyAll()
	})
	status := server.RunWith(t.Context(), commands, command.Program{Stdout: io.Discard, Stderr: stderr}, "consume", "work", "--until-idle", "200ms", "--", "cat", gate.path)
	if status != command.StatusOK || told.sorted() != "1 extend 300ms" {
		t.Errorf("status %d, settled %s", status, told.sorted())
	}
	if want := "event 1, attempt 1: LEASE_LOST: no longer in flight: its deadline passed, or the subscription was moved\n0 events acknowledged, 1 lost to their deadline\n"; stderr.String() != want {
		t.Errorf("said %q, want %q", stderr, want)
	}
}

// An extension and a settlement may both be under way when a lease is lost.
func TestLeaseIsLostOnce(t *testing.T) {
	gate := newGate(t)
	server, told := consumeServer(func(c *fakeCall) error {
		if _, err := c.opened(100 * time.Millisecond); err != nil {
			return err
		}
		if err := c.deliver(clitest.Delivery(1)); err != nil {
			return err
		}
		if _, err := c.settlements(); err != nil {
			return err
		}
		if err := gate.open(); err != nil {
			return err
		}
		batches := 1
		for !strings.Contains(c.told.sorted(), "ack") {
			if _, err := c.settlements(); err != nil {
				return err
			}
			batches++
		}
		for range batches {
			if err := c.answer(results(1, leaseLost)); err != nil {
				return err
			}
		}
		return c.applyAll()
	})
	status, _, stderr := server.Run(t, commands, "", "consume", "work", "--until-idle", "200ms", "--", "cat", gate.path)
	if status != command.StatusOK || !strings.HasPrefix(told.sorted(), "1 ack, 1 extend 100ms") {
		t.Errorf("status %d, settled %s", status, told.sorted())
	}
	if want := "event 1, attempt 1: LEASE_LOST: not settled: its deadline passed, or the subscription was moved\n0 events acknowledged, 1 lost to their deadline\n"; stderr != want {
		t.Errorf("said %q, want %q", stderr, want)
	}
}

func TestInterruptedConsumerFinishesAndGivesBack(t *testing.T) {
	gate := newGate(t)
	server, told := consumeServer(func(c *fakeCall) error {
		if _, err := c.opened(time.Minute); err != nil {
			return err
		}
		if err := c.deliver(deliveries(3)...); err != nil {
			return err
		}
		if err := c.applyAll(); err != nil {
			return err
		}
		// This one had been sent when the consumer ended its side.
		return c.deliver(clitest.Delivery(4))
	})
	// The rest is released while the command runs.
	settle := server.OnSettle
	server.OnSettle = func(r *tidingsv1.SettleRequest) (*tidingsv1.SettleResponse, error) {
		response, err := settle(r)
		if told.sorted() == "2 release, 3 release, 4 release" {
			err = gate.open()
		}
		return response, err
	}
	ctx, interrupt := context.WithCancel(t.Context())
	var stdout bytes.Buffer
	stderr := newWatched()
	status := make(chan int)
	go func() {
		status <- server.RunWith(ctx, commands, command.Program{Stdout: &stdout, Stderr: stderr}, "consume", "work", "--window", "3", "--", "sh", "-c", `echo begun >&2; cat "$0"; echo dealt with`, gate.path)
	}()
	if err := stderr.await(t.Context(), "begun\n"); err != nil {
		t.Fatal(err)
	}
	interrupt()
	if got := <-status; got != command.StatusInterrupted {
		t.Errorf("status %d", got)
	}
	if got := told.sorted(); got != "1 ack, 2 release, 3 release, 4 release" || stdout.String() != "dealt with\n" {
		t.Errorf("settled %s, printed %q", got, stdout.String())
	}
	if want := "begun\ninterrupted: waiting for 1 command. Interrupt again to end it\n1 event acknowledged, 3 released\ntidings: interrupted\n"; stderr.String() != want {
		t.Errorf("said %q, want %q", stderr, want)
	}
}

func TestSecondInterruptEndsTheCommand(t *testing.T) {
	gate := newGate(t)
	server, told := consumeServer(delivering(clitest.Delivery(1)))
	stderr := newWatched()
	status := make(chan int)
	go func() {
		status <- server.RunWith(t.Context(), commands, command.Program{Stdout: io.Discard, Stderr: stderr}, "consume", "work", "--", "sh", "-c", `echo begun >&2; cat "$0"`, gate.path)
	}()
	for _, text := range []string{"begun\n", "Interrupt again"} {
		if err := stderr.await(t.Context(), text); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
	}
	if got := <-status; got != command.StatusInterrupted || told.sorted() != "1 retry: begun" {
		t.Errorf("status %d, settled %s", got, told.sorted())
	}
}

// failingWriter fails after some lines.
type failingWriter struct{ lines int }

func (w *failingWriter) Write(text []byte) (int, error) {
	if w.lines == 0 {
		return 0, syscall.EPIPE
	}
	w.lines--
	return len(text), nil
}

func TestWhatCannotBeWrittenIsGivenBack(t *testing.T) {
	for name, test := range map[string]struct {
		command []string
		settled string
	}{
		"printed":   {nil, "1 ack, 2 release, 3 release"},
		"a command": {[]string{"--", "echo", "x"}, "1 ack, 2 retry: its output could not be written, 3 release"},
	} {
		t.Run(name, func(t *testing.T) {
			server, told := consumeServer(delivering(deliveries(3)...))
			var stderr bytes.Buffer
			status := server.RunWith(t.Context(), commands, command.Program{Stdout: &failingWriter{1}, Stderr: &stderr}, append([]string{"consume", "work", "--window", "3"}, test.command...)...)
			if status != command.StatusFailed || told.sorted() != test.settled {
				t.Errorf("status %d, settled %s", status, told.sorted())
			}
			if !strings.Contains(stderr.String(), "tidings: writing standard output: broken pipe") {
				t.Errorf("said %s", stderr.String())
			}
		})
	}
}

func TestCommandThatCannotBeRun(t *testing.T) {
	path := t.TempDir() + "/command"
	if err := os.WriteFile(path, []byte("#!/no/such/interpreter\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	server, told := consumeServer(delivering(deliveries(2)...))
	status, _, stderr := server.Run(t, commands, "", "consume", "work", "--", path)
	if status != command.StatusFailed || told.sorted() != "1 release, 2 release" || !strings.Contains(stderr, "tidings: running "+path+": ") {
		t.Errorf("status %d, settled %s, said %s", status, told.sorted(), stderr)
	}
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
