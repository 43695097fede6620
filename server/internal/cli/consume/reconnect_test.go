package consume

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"example.com/tidings/client"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/clitest"
	"example.com/tidings/server/internal/cli/command"
)

func TestConsumerKeepsWhatItHasAcrossCalls(t *testing.T) {
	var held []string
	server, told := consumeServer(
		func(c *fakeCall) error {
			if _, err := c.opened(time.Minute); err != nil {
				return err
			}
			if err := c.deliver(deliveries(4)...); err != nil {
				return err
			}
			for got := 0; got < 4; {
				batch, err := c.settlements()
				if err != nil {
					return err
				}
				got += len(batch)
			}
			// No answer.
			return clitest.Unavailable(t)
		},
		func(c *fakeCall) error {
			open, err := c.opened(time.Minute, applied, alreadyApplied, leaseLost, malformedToken)
			if err != nil {
				return err
			}
			held = open.GetHeldDeliveryTokens()
			return c.applyAll()
		},
	)
	status, stdout, stderr := server.Run(t, commands, "", "consume", "work", "--until-idle", "200ms")
	if status != command.StatusOK || strings.Count(stdout, "\n") != 4 {
		t.Errorf("status %d, printed %s", status, stdout)
	}
	if got := strings.Join(held, " "); got != "token-1 token-2 token-3 token-4" {
		t.Errorf("held %s", got)
	}
	if got := told.sorted(); got != "1 ack, 1 ack, 2 ack, 3 ack, 4 ack" {
		t.Errorf("settled %s", got)
	}
	want := `UNAVAILABLE SERVER_DRAINING: the server is shutting down
reconnecting within 250ms
event 2, attempt 1: ALREADY_APPLIED: settled before the connection was lost
event 3, attempt 1: LEASE_LOST: not settled: its deadline passed, or the subscription was moved
event 4, attempt 1: MALFORMED: not settled
2 events acknowledged, 2 lost to their deadline
`
	if stderr != want {
		t.Errorf("said %s, want %s", stderr, want)
	}
}

func TestDrainingServerIsLeftWithWhatIsInHand(t *testing.T) {
	gate := newGate(t)
	var held []string
	server, told := consumeServer(
		func(c *fakeCall) error {
			if _, err := c.opened(time.Minute); err != nil {
				return err
			}
			if err := c.deliver(clitest.Delivery(1)); err != nil {
				return err
			}
			if err := c.Send(&tidingsv1.ConsumeResponse{Frame: &tidingsv1.ConsumeResponse_Draining{Draining: &tidingsv1.ConsumeDraining{}}}); err != nil {
				return err
			}
			// The client ends its side while its command runs.
			if batch, err := c.settlements(); !errors.Is(err, io.EOF) {
				return fmt.Errorf("got %v, %w", batch, err)
			}
			return nil
		},
		func(c *fakeCall) error {
			open, err := c.opened(time.Hour, applied)
			if err != nil {
				return err
			}
			held = open.GetHeldDeliveryTokens()
			// How much time is left isn't known, so more is asked for at once.
			batch, err := c.settlements()
			if err != nil {
				return err
			}
			if err := c.answer(results(len(batch), applied)); err != nil {
				return err
			}
			if err := gate.open(); err != nil {
				return err
			}
			return c.applyAll()
		},
	)
	status, _, stderr := server.Run(t, commands, "", "consume", "work", "--until-idle", "200ms", "--", "cat", gate.path)
	if status != command.StatusOK || stderr != "the server has ended the call\nreconnecting within 250ms\n1 event acknowledged\n" {
		t.Errorf("status %d, said %q", status, stderr)
	}
	if got := told.sorted(); got != "1 ack, 1 extend 1h0m0s" || len(held) != 1 {
		t.Errorf("settled %s, held %v", got, held)
	}
}

func TestUncertainSettlementIsSentAgain(t *testing.T) {
	server, told := consumeServer(func(c *fakeCall) error {
		if _, err := c.opened(time.Minute); err != nil {
			return err
		}
		if err := c.deliver(clitest.Delivery(1)); err != nil {
			return err
		}
		if _, err := c.settlements(); err != nil {
			return err
		}
		if err := c.answer(results(1, transient)); err != nil {
			return err
		}
		return c.applyAll()
	})
	status, _, stderr := server.Run(t, commands, "", "consume", "work", "--until-idle", "200ms")
	if status != command.StatusOK || told.sorted() != "1 ack, 1 ack" {
		t.Errorf("status %d, settled %s", status, told.sorted())
	}
	if want := "event 1, attempt 1: UNKNOWN: sent again in 250ms\n1 event acknowledged\n"; stderr != want {
		t.Errorf("said %q, want %q", stderr, want)
	}
}

func TestConsumeFailsWhereItCannotGoOn(t *testing.T) {
	opening := func(rest func(*fakeCall) error) func(*fakeCall) error {
		return func(c *fakeCall) error {
			if _, err := c.opened(time.Minute); err != nil {
				return err
			}
			return rest(c)
		}
	}
	gone := connect.NewError(connect.CodeNotFound, errors.New("gone"))
	for name, test := range map[string]struct {
		call   func(*fakeCall) error
		status int
		want   string
	}{
		"refused at once":            {func(*fakeCall) error { return gone }, command.StatusNotFound, "tidings: NOT_FOUND: gone"},
		"unavailable from the start": {func(*fakeCall) error { return clitest.Unavailable(t) }, command.StatusFailed, "tidings: UNAVAILABLE SERVER_DRAINING: the server is shutting down"},
		"deleted on the way":         {opening(func(*fakeCall) error { return gone }), command.StatusNotFound, "0 events acknowledged\ntidings: NOT_FOUND: gone"},
		"held what it didn't say": {func(c *fakeCall) error {
			if _, err := c.opened(time.Minute, applied); err != nil {
				return err
			}
			return c.applyAll()
		}, command.StatusFailed, "tidings: the server sent 1 result for 0 held tokens"},
		"answered what it wasn't asked": {opening(func(c *fakeCall) error {
			if err := c.answer(results(1, applied)); err != nil {
				return err
			}
			return c.applyAll()
		}), command.StatusFailed, "tidings: the server sent the results of batch 0, after 0 of 0"},
		"answered another batch": {opening(func(c *fakeCall) error {
			if err := c.deliver(clitest.Delivery(1)); err != nil {
				return err
			}
			if _, err := c.settlements(); err != nil {
				return err
			}
			c.batch = 7
			if err := c.answer(results(1, applied)); err != nil {
				return err
			}
			return c.applyAll()
		}), command.StatusFailed, "tidings: the server sent the results of batch 7, after 0 of 1"},
		"too few results": {opening(func(c *fakeCall) error {
			if err := c.deliver(clitest.Delivery(1)); err != nil {
				return err
			}
			if _, err := c.settlements(); err != nil {
				return err
			}
			if err := c.answer(nil); err != nil {
				return err
			}
			return c.applyAll()
		}), command.StatusFailed, "1 event: whether settled is not known; what isn't is delivered again after its deadline\ntidings: the server sent 0 results for 1 settlement"},
	} {
		t.Run(name, func(t *testing.T) {
			server, _ := consumeServer(test.call)
			status, _, stderr := server.Run(t, commands, "", "consume", "work")
			if status != test.status || !strings.Contains(stderr, test.want) {
				t.Errorf("status %d, said %q", status, stderr)
			}
		})
	}
}

// What is in flight when the stream has ended is settled by calls of Settle, which
// are made again where they may succeed later.
func TestSettlingAfterTheStream(t *testing.T) {
	for name, test := range map[string]struct {
		err    func() error
		status int
		want   string
	}{
		"in the end": {func() error { return clitest.Unavailable(t) }, command.StatusOK, "1 event acknowledged\n"},
		"in vain": {
			func() error { return connect.NewError(connect.CodeNotFound, errors.New("gone")) }, command.StatusNotFound,
			"0 events acknowledged\n1 event: whether settled is not known; what isn't is delivered again after its deadline\ntidings: NOT_FOUND: gone\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			server, told := consumeServer(func(c *fakeCall) error {
				if _, err := c.opened(time.Minute); err != nil {
					return err
				}
				if err := c.deliver(clitest.Delivery(1)); err != nil {
					return err
				}
				return ignoreEOF(c.applyAll())
			})
			settle, calls := server.OnSettle, 0
			server.OnSettle = func(r *tidingsv1.SettleRequest) (*tidingsv1.SettleResponse, error) {
				calls++
				if calls == 1 {
					return nil, test.err()
				}
				return settle(r)
			}
			status, _, stderr := server.Run(t, commands, "", "consume", "work", "--limit", "1")
			if status != test.status || stderr != test.want {
				t.Errorf("status %d, said %q, settled %s", status, stderr, told.sorted())
			}
		})
	}
}

func TestInterruptedConsumerWithNothingInHand(t *testing.T) {
	server, told := consumeServer(delivering(clitest.Delivery(1)))
	ctx, interrupt := context.WithCancel(t.Context())
	stdout, status := newWatched(), make(chan int)
	var stderr bytes.Buffer
	go func() {
		status <- server.RunWith(ctx, commands, command.Program{Stdout: stdout, Stderr: &stderr}, "consume", "work")
	}()
	if err := stdout.await(t.Context(), `"id":"e-1"`); err != nil {
		t.Fatal(err)
	}
	interrupt()
	if got := <-status; got != command.StatusInterrupted || told.sorted() != "1 ack" {
		t.Errorf("status %d, settled %s", got, told.sorted())
	}
	if want := "1 event acknowledged\ntidings: interrupted\n"; stderr.String() != want {
		t.Errorf("said %q, want %q", stderr.String(), want)
	}
}

// Without an answer in a reasonable time the command ends, and says what that
// means.
func TestConsumptionGivesUp(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	cmd := new(cobra.Command)
	cmd.SetErr(io.Discard)
	c := &consumption{dealing: ctx, connected: true, console: command.NewConsole(cmd)}
	err := c.conclude(ctx, &client.UnsettledError{Events: 1})
	if command.ExitStatus(err) != command.StatusInterrupted || !strings.Contains(err.Error(), "interrupted: 1 event: whether settled is not known") {
		t.Errorf("ended with %v", err)
	}
}

func TestTypeThatTheServerCannotTellJustNow(t *testing.T) {
	server, told := consumeServer(delivering(clitest.Delivery(1)))
	server.TypeErrors = []error{clitest.Unavailable(t)}
	status, stdout, stderr := server.Run(t, commands, "", "consume", "work", "--until-idle", "200ms")
	if status != command.StatusOK || !strings.Contains(stdout, `"@type":"t/test.Plain"`) || told.sorted() != "1 ack" {
		t.Errorf("status %d, printed %s, said %s, settled %s", status, stdout, stderr, told.sorted())
	}

	unknown := clitest.Delivery(2)
	unknown.Recorded.Event.Data.TypeUrl = "t/test.Unknown"
	server, told = consumeServer(delivering(unknown, clitest.Delivery(3)))
	unknown.Recorded.Event.Data.Value = []byte{8, 1}
	status, stdout, stderr = server.Run(t, commands, "", "consume", "work", "--until-idle", "200ms")
	if status != command.StatusOK || told.sorted() != "2 ack, 3 ack" || !strings.Contains(stdout, `"data":{"@type":"t/test.Unknown","value":"CAE="}`) {
		t.Errorf("status %d, printed %s, said %s, settled %s", status, stdout, stderr, told.sorted())
	}
}

func TestInterruptEndsTheWaitForAType(t *testing.T) {
	server, told := consumeServer(delivering(clitest.Delivery(1)))
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	server.TypeErrors = slices.Repeat([]error{clitest.Unavailable(t)}, 1000)
	server.TypeAsked = interrupt
	var stdout, stderr bytes.Buffer
	status := server.RunWith(ctx, commands, command.Program{Stdout: &stdout, Stderr: &stderr}, "consume", "work")
	if status != command.StatusInterrupted || stdout.Len() != 0 || told.sorted() != "1 release" {
		t.Errorf("status %d, printed %s, said %s, settled %s", status, stdout.String(), stderr.String(), told.sorted())
	}
}

// What the server finds wrong with a settlement is said, and the event is left to
// its deadline.
func TestInvalidSettlementIsTold(t *testing.T) {
	server, _ := consumeServer(func(c *fakeCall) error {
		if _, err := c.opened(time.Minute); err != nil {
			return err
		}
		if err := c.deliver(clitest.Delivery(1), clitest.Delivery(2)); err != nil {
			return err
		}
		batch, err := c.settlements()
		if err != nil {
			return err
		}
		answers := results(len(batch), applied)
		answers[0] = &tidingsv1.SettlementResult{Status: tidingsv1.SettlementStatus_SETTLEMENT_STATUS_INVALID, Message: "nack.delay: too long\x1b"}
		if err := c.answer(answers); err != nil {
			return err
		}
		return c.applyAll()
	})
	_, _, stderr := server.Run(t, commands, "", "consume", "work", "--until-idle", "200ms")
	if want := "event 1, attempt 1: INVALID: not settled: nack.delay: too long\\u001b\n1 event acknowledged, 1 lost to their deadline\n"; stderr != want {
		t.Errorf("said %q, want %q", stderr, want)
	}
}
