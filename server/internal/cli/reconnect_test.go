package cli

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

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
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
			return unavailable(t)
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
	status, stdout, stderr := server.run(t, "", "consume", "work", "--until-idle", "20ms")
	if status != StatusOK || strings.Count(stdout, "\n") != 4 {
		t.Errorf("status %d, printed %s", status, stdout)
	}
	if got := strings.Join(held, " "); got != "token-1 token-2 token-3 token-4" {
		t.Errorf("held %s", got)
	}
	if got := told.sorted(); got != "1 ack, 1 ack, 2 ack, 3 ack, 4 ack" {
		t.Errorf("settled %s", got)
	}
	want := `UNAVAILABLE SERVER_DRAINING: the server is shutting down
reconnecting in 250ms
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
			if err := c.deliver(delivery(1)); err != nil {
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
	status, _, stderr := server.run(t, "", "consume", "work", "--until-idle", "20ms", "--", "cat", gate.path)
	if status != StatusOK || stderr != "the server has ended the call\nreconnecting in 250ms\n1 event acknowledged\n" {
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
		if err := c.deliver(delivery(1)); err != nil {
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
	status, _, stderr := server.run(t, "", "consume", "work", "--until-idle", "20ms")
	if status != StatusOK || told.sorted() != "1 ack, 1 ack" {
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
		"refused at once":            {func(*fakeCall) error { return gone }, StatusNotFound, "tidings: NOT_FOUND: gone"},
		"unavailable from the start": {func(*fakeCall) error { return unavailable(t) }, StatusFailed, "tidings: UNAVAILABLE SERVER_DRAINING: the server is shutting down"},
		"deleted on the way":         {opening(func(*fakeCall) error { return gone }), StatusNotFound, "0 events acknowledged\ntidings: NOT_FOUND: gone"},
		"held what it didn't say": {func(c *fakeCall) error {
			if _, err := c.opened(time.Minute, applied); err != nil {
				return err
			}
			return c.applyAll()
		}, StatusFailed, "tidings: the server sent 1 result for 0 held tokens"},
		"answered what it wasn't asked": {opening(func(c *fakeCall) error {
			if err := c.answer(results(1, applied)); err != nil {
				return err
			}
			return c.applyAll()
		}), StatusFailed, "tidings: the server sent the results of batch 0, after 0 of 0"},
		"answered another batch": {opening(func(c *fakeCall) error {
			if err := c.deliver(delivery(1)); err != nil {
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
		}), StatusFailed, "tidings: the server sent the results of batch 7, after 0 of 1"},
		"too few results": {opening(func(c *fakeCall) error {
			if err := c.deliver(delivery(1)); err != nil {
				return err
			}
			if _, err := c.settlements(); err != nil {
				return err
			}
			if err := c.answer(nil); err != nil {
				return err
			}
			return c.applyAll()
		}), StatusFailed, "1 event: whether settled is not known; what isn't is delivered again after its deadline\ntidings: the server sent 0 results for 1 settlement"},
	} {
		t.Run(name, func(t *testing.T) {
			server, _ := consumeServer(test.call)
			status, _, stderr := server.run(t, "", "consume", "work")
			if status != test.status || !strings.Contains(stderr, test.want) {
				t.Errorf("status %d, said %q", status, stderr)
			}
		})
	}
}

// What is in hand when the stream has ended is settled by calls of Settle, which
// are made again where they may succeed later.
func TestSettlingAfterTheStream(t *testing.T) {
	for name, test := range map[string]struct {
		err    func() error
		status int
		want   string
	}{
		"in the end": {func() error { return unavailable(t) }, StatusOK, "1 event acknowledged\n"},
		"in vain": {
			func() error { return connect.NewError(connect.CodeNotFound, errors.New("gone")) }, StatusNotFound,
			"0 events acknowledged\n1 event: whether settled is not known; what isn't is delivered again after its deadline\ntidings: NOT_FOUND: gone\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			server, told := consumeServer(func(c *fakeCall) error {
				if _, err := c.opened(time.Minute); err != nil {
					return err
				}
				if err := c.deliver(delivery(1)); err != nil {
					return err
				}
				return ignoreEOF(c.applyAll())
			})
			settle, calls := server.settle, 0
			server.settle = func(r *tidingsv1.SettleRequest) (*tidingsv1.SettleResponse, error) {
				calls++
				if calls == 1 {
					return nil, test.err()
				}
				return settle(r)
			}
			status, _, stderr := server.run(t, "", "consume", "work", "--limit", "1")
			if status != test.status || stderr != test.want {
				t.Errorf("status %d, said %q, settled %s", status, stderr, told.sorted())
			}
		})
	}
}

func TestInterruptedConsumerWithNothingInHand(t *testing.T) {
	server, told := consumeServer(delivering(delivery(1)))
	ctx, interrupt := context.WithCancel(t.Context())
	stdout, status := newWatched(), make(chan int)
	var stderr bytes.Buffer
	go func() {
		status <- server.runWith(ctx, Program{Stdout: stdout, Stderr: &stderr}, "consume", "work")
	}()
	if err := stdout.await(t.Context(), `"id":"e-1"`); err != nil {
		t.Fatal(err)
	}
	interrupt()
	if got := <-status; got != StatusInterrupted || told.sorted() != "1 ack" {
		t.Errorf("status %d, settled %s", got, told.sorted())
	}
	if want := "1 event acknowledged\ntidings: interrupted\n"; stderr.String() != want {
		t.Errorf("said %q, want %q", stderr.String(), want)
	}
}

// Without an answer in a reasonable time the command ends, and says what that
// means.
func TestConsumptionGivesUp(t *testing.T) {
	c := &consumption{stopped: true, cause: errInterrupted, connected: true, console: &console{w: io.Discard}}
	c.leases.held = make(map[string]*lease)
	c.leases.decide(c.leases.add(delivery(1), time.Now()), ack())
	if c.done() {
		t.Error("done with a settlement to be made")
	}
	c.running++
	c.giveUp()
	if c.hopeless {
		t.Error("gave up a command that runs")
	}
	c.running--
	c.giveUp()
	if !c.done() {
		t.Error("not done after giving up")
	}
	err := c.conclude(c.cause)
	if exitStatus(err) != StatusInterrupted || !strings.Contains(err.Error(), "interrupted: 1 event: whether settled is not known") {
		t.Errorf("ended with %v", err)
	}
}

func TestTypeThatTheServerCannotTellJustNow(t *testing.T) {
	server, told := consumeServer(delivering(delivery(1)))
	server.typeErrors = []error{unavailable(t)}
	status, stdout, stderr := server.run(t, "", "consume", "work", "--until-idle", "20ms")
	if status != StatusOK || !strings.Contains(stdout, `"@type":"t/test.Plain"`) || told.sorted() != "1 ack" {
		t.Errorf("status %d, printed %s, said %s, settled %s", status, stdout, stderr, told.sorted())
	}

	unknown := delivery(2)
	unknown.Recorded.Event.Data.TypeUrl = "t/test.Unknown"
	server, told = consumeServer(delivering(unknown, delivery(3)))
	unknown.Recorded.Event.Data.Value = []byte{8, 1}
	status, stdout, stderr = server.run(t, "", "consume", "work", "--until-idle", "20ms")
	if status != StatusOK || told.sorted() != "2 ack, 3 ack" || !strings.Contains(stdout, `"data":{"@type":"t/test.Unknown","value":"CAE="}`) {
		t.Errorf("status %d, printed %s, said %s, settled %s", status, stdout, stderr, told.sorted())
	}
}

func TestInterruptEndsTheWaitForAType(t *testing.T) {
	server, told := consumeServer(delivering(delivery(1)))
	ctx, interrupt := context.WithCancel(t.Context())
	server.typeErrors = slices.Repeat([]error{unavailable(t)}, 1000)
	server.typeAsked = interrupt
	var stdout, stderr bytes.Buffer
	status := server.runWith(ctx, Program{Stdout: &stdout, Stderr: &stderr}, "consume", "work")
	if status != StatusInterrupted || stdout.Len() != 0 || told.sorted() != "1 release" {
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
		if err := c.deliver(delivery(1), delivery(2)); err != nil {
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
	_, _, stderr := server.run(t, "", "consume", "work", "--until-idle", "20ms")
	if want := "event 1, attempt 1: INVALID: not settled: nack.delay: too long\\u001b\n1 event acknowledged, 1 lost to their deadline\n"; stderr != want {
		t.Errorf("said %q, want %q", stderr, want)
	}
}
