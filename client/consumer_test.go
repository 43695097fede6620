package client

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// What is settled while batches have no answer makes the next one.
func TestSettlementsGoInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, ConsumerOptions{}, done)
		call := r.nth(0)
		r.expect("subscription", call.opening().GetSubscription(), "billing")
		call.opens()
		for sequence := range int64(maxUnanswered) {
			call.delivers(sequence + 1)
		}
		call.delivers(11, 12, 13)
		for range maxUnanswered {
			r.expect("size of a first batch", len(call.settlements()), 1)
		}
		r.expect("while these have no answer", call.next(), []string(nil))
		call.answers(applied)
		r.expect("next batch", call.next(), []string{"11 ack", "12 ack", "13 ack"})
		for range maxUnanswered - 1 {
			call.answers(applied)
		}
		call.answers(applied, already, applied)
		r.expect("result", r.finish(), nil)
		r.expect("settled by a call of its own", r.directly(), []string(nil))
	})
}

func TestWindowFollowsFromConcurrency(t *testing.T) {
	for _, test := range []struct {
		options ConsumerOptions
		want    string
	}{
		{ConsumerOptions{}, "max_events:16"},
		{ConsumerOptions{Concurrency: 100}, "max_events:400"},
		{ConsumerOptions{Concurrency: 100, Window: 100, WindowBytes: 5}, "max_events:100 max_bytes:5"},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, test.options, done)
			window := r.nth(0).opening().GetWindow()
			r.expect("window", strings.Join(strings.Fields(window.String()), " "), test.want)
			r.expect("result", r.finish(), nil)
		})
	}
	err := (&Client{calls: new(scriptedCalls)}).Consumer("x", ConsumerOptions{Concurrency: -1}).Run(t.Context(), HandleAny(nothing))
	if err == nil || !strings.Contains(err.Error(), "ConsumerOptions.Concurrency: -1") {
		t.Errorf("got %v", err)
	}
}

func TestHandlersRunAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		more := make(chan struct{})
		r := start(t, ConsumerOptions{Concurrency: 2}, func(context.Context, int64) error { <-more; return nil })
		call := r.nth(0)
		call.opens()
		call.delivers(1, 2, 3)
		r.expect("at a time", len(strings.Fields(r.events.String())), 2)
		more <- struct{}{}
		synctest.Wait()
		r.expect("then", len(strings.Fields(r.events.String())), 3)
		close(more)
		_ = r.finish()
	})
}

func TestSlowWorkGetsMoreTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, ConsumerOptions{}, func(context.Context, int64) error {
			<-time.After(24 * time.Second)
			return nil
		})
		call := r.nth(0)
		call.opens()
		call.delivers(1)
		beat(call, 10*time.Second)
		r.expect("before a third has passed", call.next(), []string(nil))
		call.delivers(2)
		beat(call, 10*time.Second)
		r.expect("batch", call.next(), []string{"1 extend 30s"})
		call.answers(applied)
		beat(call, 5*time.Second)
		r.expect("batch", call.next(), []string{"1 ack"})
		call.answers(applied)
		beat(call, 5*time.Second)
		r.expect("batch", call.next(), []string{"2 extend 30s"})
		call.answers(applied)
		r.expect("result", r.finish(), nil)
		r.expect("settled after the call", r.directly(), []string{"2 ack"})
	})
}

// The server's heartbeats go on while time passes.
func beat(call *scriptedCall, d time.Duration) {
	for ; d > 0; d -= consumeHeartbeat {
		pass(consumeHeartbeat)
		call.beats()
	}
}

// An event isn't extended beyond the time that its handler has.
func TestHandlersHaveATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, ConsumerOptions{HandlerTimeout: time.Minute}, func(ctx context.Context, _ int64) error {
			<-ctx.Done()
			<-time.After(time.Minute) // It takes no notice.
			return ctx.Err()
		})
		call := r.nth(0)
		call.opens()
		call.delivers(1)
		beat(call, 59*time.Second)
		extended := 0
		for batch := call.next(); batch != nil; batch = call.next() {
			extended++
			call.answers(applied)
		}
		if extended != 2 {
			t.Errorf("extended %d times in a minute", extended)
		}
		beat(call, 50*time.Second)
		r.expect("batch after the timeout", call.next(), []string(nil))
		beat(call, 15*time.Second)
		r.expect("batch", call.next(), []string{"1 RETRY (context deadline exceeded)"})
		call.answers(applied)
		r.expect("result", r.finish(), nil)
	})
}

func TestCallsAreRepeatedWithBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := &scriptedCalls{refuse: status.Error(codes.Unavailable, "nobody listens")}
		r := startWith(t, calls, ConsumerOptions{}, done)
		pass(5 * time.Minute)
		refused := calls.refusing(nil)
		// Once the delay has grown, there are 7.5 s between two on average.
		if n := len(refused); n < 30 || n > 80 {
			t.Errorf("%d calls in 5 minutes", n)
		}
		longest := firstDelay
		for i, at := range refused[1:] {
			if wait := at.Sub(refused[i]); wait > longest || wait < longest/2 {
				t.Errorf("%v before call %d, want %v to %v", wait, i+1, longest/2, longest)
			}
			longest = min(2*longest, lastDelay)
		}
		pass(lastDelay)
		call := r.nth(0)
		call.opens()
		call.beats()
		call.ends(status.Error(codes.Unavailable, "the server ended"))
		pass(firstDelay)
		r.nth(1)
		r.expect("result", r.finish(), nil)
	})
}

func TestSomeErrorsArePermanent(t *testing.T) {
	for code, message := range map[codes.Code]string{
		codes.NotFound:           "no such subscription",
		codes.FailedPrecondition: "its topic is gone",
		codes.PermissionDenied:   "not yours",
	} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, ConsumerOptions{}, done)
			r.nth(0).ends(status.Error(code, message))
			if err := <-r.result; status.Code(err) != code {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAnswersThatMakeNoSense(t *testing.T) {
	for want, answer := range map[string]func(*scriptedCall){
		"the server sent 1 result for 0 held tokens":           func(c *scriptedCall) { c.opens(applied) },
		"the server sent the results of batch 0, after 0 of 0": func(c *scriptedCall) { c.opens(); c.answers(applied) },
		"the server sent 2 results for 1 settlement; 1 events may be unsettled": func(c *scriptedCall) {
			c.opens()
			c.delivers(1)
			c.answers(applied, applied)
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, ConsumerOptions{}, done)
			answer(r.nth(0))
			r.nth(0).ends(io.EOF)
			r.expect("result", <-r.result, want)
		})
	}
}

func TestASilentServerIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, ConsumerOptions{}, done)
		call := r.nth(0)
		call.opens()
		beat(call, time.Minute)
		r.nth(0)
		pass(3*consumeHeartbeat + firstDelay)
		r.nth(1)
		if !strings.Contains(r.log.String(), errSilent.Error()) {
			t.Errorf("the log doesn't say why: %s", r.log.String())
		}
		r.expect("result", r.finish(), nil)
	})
}

// A server that drains is left with what is in flight, which is settled on the next
// call.
func TestADrainingServerIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, ConsumerOptions{}, func(context.Context, int64) error {
			<-time.After(time.Second)
			return nil
		})
		call := r.nth(0)
		call.opens()
		call.delivers(1)
		call.drains()
		r.expect("ended", call.ended(), true)
		call.ends(io.EOF)
		pass(firstDelay)
		call = r.nth(1)
		r.expect("held", call.opening().GetHeldDeliveryTokens(), []string{"1"})
		call.opens(applied)
		r.expect("batch", call.next(), []string{"1 extend 30s"})
		pass(time.Second)
		r.expect("batch", call.next(), []string{"1 ack"})
		call.answers(applied)
		call.answers(applied)
		r.expect("handled", r.events.String(), "1 ")
		r.expect("result", r.finish(), nil)
	})
}

func TestTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told notes
		r := start(t, ConsumerOptions{Trace: ConsumerTrace{
			Opened: func() { _, _ = told.Write([]byte("opened ")) },
			Reconnecting: func(err error, delay time.Duration) {
				_, _ = told.Write([]byte("ended " + err.Error() + " " + delay.String() + " "))
			},
			Settled: func(d *Delivery, s *tidingsv1.Settlement, result *tidingsv1.SettlementResult, delay time.Duration) {
				_, _ = told.Write([]byte(d.GetDeliveryToken() + " " + strings.Join(shown([]*tidingsv1.Settlement{s}), "") + " " + result.GetStatus().String() + " " + delay.String() + " "))
			},
		}}, done)
		call := r.nth(0)
		call.opens()
		call.delivers(1)
		call.answers(transient)
		pass(firstDelay)
		call.answers(applied)
		call.ends(io.EOF)
		pass(firstDelay)
		r.expect("result", r.finish(), nil)
		r.expect("told", told.String(), "opened 1 1 ack SETTLEMENT_STATUS_UNKNOWN 250ms 1 1 ack SETTLEMENT_STATUS_APPLIED 0s ended EOF 250ms ")
	})
}

func TestErrorsWithoutAHandler(t *testing.T) {
	consumer := (&Client{calls: new(scriptedCalls)}).Consumer("x", ConsumerOptions{})
	for want, handlers := range map[string][]Handler{
		"a consumer needs a handler":                                nil,
		"a handler is made by Handle or HandleAny, with a function": {{}},
		"two handlers of any event":                                 {HandleAny(nothing), HandleAny(nothing)},
	} {
		if err := consumer.Run(t.Context(), handlers...); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func nothing(context.Context, *Delivery) error { return errors.New("not called") }
