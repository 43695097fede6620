package client

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// A consumer that ends finishes what it has begun and releases the rest, also what
// comes while it ends.
func TestTheRestIsReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		more := make(chan struct{})
		r := start(t, ConsumerOptions{}, func(ctx context.Context, _ int64) error { <-more; return ctx.Err() })
		call := r.nth(0)
		call.opens()
		call.delivers(1, 2)
		r.stop()
		synctest.Wait()
		r.expect("ended", call.ended(), true)
		call.delivers(3)
		call.ends(io.EOF)
		r.expect("released at once", r.directly(), []string{"2 RELEASE", "3 RELEASE"})
		pass(20 * time.Second)
		close(more)
		r.expect("result", <-r.result, nil)
		r.expect("settled", r.directly(), []string{"1 ack", "1 extend 30s", "2 RELEASE", "3 RELEASE"})
		r.expect("handled", r.events.String(), "1 ")
	})
}

// Handlers that take too long are told so, and left when they take no notice.
func TestDrainingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		more := make(chan struct{})
		r := start(t, ConsumerOptions{Concurrency: 2, DrainTimeout: time.Minute}, func(ctx context.Context, sequence int64) error {
			<-ctx.Done()
			if sequence == 2 {
				<-more
			}
			return ctx.Err()
		})
		call := r.nth(0)
		call.opens()
		call.delivers(1, 2)
		begun := time.Now()
		r.stop()
		synctest.Wait()
		call.ends(io.EOF)
		err := <-r.result
		unsettled, ok := errors.AsType[*UnsettledError](err)
		if !ok || unsettled.Events != 1 || unsettled.Err != nil {
			t.Errorf("ended with %v", err)
		}
		r.expect("duration", time.Since(begun).Truncate(time.Second), time.Minute+settleWithin)
		settled := r.directly()
		r.expect("settled", settled[0], "1 RETRY (context canceled)")
		close(more) // The bubble ends when its last goroutine has.
	})
}

func TestWhatCannotBeSettledAtTheEndIsAnError(t *testing.T) {
	for want, refuse := range map[string]error{
		"2 events may be unsettled":                                         status.Error(codes.Unavailable, "gone for long"),
		"rpc error: code = NotFound desc = gone; 2 events may be unsettled": status.Error(codes.NotFound, "gone"),
	} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, ConsumerOptions{}, func(context.Context, int64) error { <-time.After(time.Second); return nil })
			r.nth(0).opens()
			r.nth(0).delivers(1, 2)
			r.refusing(refuse)
			err := r.finish()
			r.expect("result", err, want)
			if status.Code(refuse) == codes.NotFound && status.Code(err) != codes.NotFound {
				t.Errorf("the code is %v", status.Code(err))
			}
		})
	}
}

// What is unsure at the end is sent again.
func TestSettlingAfterTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := &scriptedCalls{}
		r := startWith(t, calls, ConsumerOptions{}, func(context.Context, int64) error { <-time.After(time.Second); return nil })
		call := r.nth(0)
		call.opens()
		call.delivers(1)
		calls.mu.Lock()
		calls.results = []tidingsv1.SettlementStatus{transient}
		calls.mu.Unlock()
		r.stop()
		synctest.Wait()
		call.ends(io.EOF)
		pass(time.Second)
		r.expect("settled", r.directly(), []string{"1 ack"})
		calls.mu.Lock()
		calls.results = nil
		calls.mu.Unlock()
		r.expect("result", <-r.result, nil)
		r.expect("settled", r.directly(), []string{"1 ack", "1 ack"})
	})
}

// A call of Settle on a dead connection is made again.
func TestSettlingOnADeadConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startWith(t, &scriptedCalls{hanging: 1}, ConsumerOptions{}, func(context.Context, int64) error { <-time.After(25 * time.Second); return nil })
		call := r.nth(0)
		call.opens()
		call.delivers(1, 2)
		r.stop()
		synctest.Wait()
		call.ends(io.EOF)
		r.expect("result", <-r.result, nil)
		r.expect("settled", r.directly(), []string{"1 ack", "1 extend 30s", "2 RELEASE"})
	})
}

// A call that doesn't end doesn't hold up the end.
func TestCallThatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, ConsumerOptions{}, done)
		r.nth(0).opens()
		begun := time.Now()
		r.stop()
		r.expect("result", <-r.result, nil)
		r.expect("duration", time.Since(begun), settleWithin)
	})
}

// An interrupted consumer doesn't wait for the next call.
func TestEndWhileReconnecting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startWith(t, &scriptedCalls{refuse: io.ErrUnexpectedEOF}, ConsumerOptions{}, done)
		pass(time.Minute)
		begun := time.Now()
		r.stop()
		r.expect("result", <-r.result, nil)
		r.expect("duration", time.Since(begun), time.Duration(0))
	})
}

func TestNothingIsCalledAfterTheEnd(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	calls := new(scriptedCalls)
	if err := (&Client{calls: calls}).Consumer("x", ConsumerOptions{}).Run(ctx, HandleAny(nothing)); err != nil || len(calls.opened) > 0 {
		t.Errorf("got %v and %d calls", err, len(calls.opened))
	}
}

func TestIdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, ConsumerOptions{IdleTimeout: 10 * time.Second}, done)
		call := r.nth(0)
		begun := time.Now()
		beat(call, 20*time.Second) // Not opened yet.
		call.opens()
		beat(call, 5*time.Second)
		call.delivers(1)
		beat(call, 20*time.Second)
		call.answers(applied)
		beat(call, 10*time.Second)
		r.expect("ended", call.ended(), true)
		call.ends(io.EOF)
		r.expect("result", <-r.result, nil)
		r.expect("duration", time.Since(begun), 55*time.Second)
	})
}
