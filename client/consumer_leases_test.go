package client

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// A subscription's deadline may be changed during a call.
func TestShorterDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, ConsumerOptions{}, func(context.Context, int64) error {
			<-time.After(6 * time.Second)
			return nil
		})
		call := r.nth(0)
		call.opens()
		one := deliveryOf(1, "")
		one.LeaseDuration = durationpb.New(3 * time.Second)
		call.deliver(one)
		pass(2 * time.Second)
		r.expect("batch", call.next(), []string{"1 extend 3s"})
		call.answers(applied)
		r.expect("result", r.finish(), nil)
	})
}

// An event that another consumer has by now isn't begun, and a handler is told.
func TestLostLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := make(chan error, 1)
		r := start(t, ConsumerOptions{}, func(ctx context.Context, sequence int64) error {
			if sequence == 1 {
				<-ctx.Done()
				cause <- context.Cause(ctx)
			}
			return nil
		})
		call := r.nth(0)
		call.opens()
		call.delivers(1, 2, 3)
		beat(call, 20*time.Second)
		r.expect("batch", call.next(), []string{"1 extend 30s", "2 extend 30s", "3 extend 30s"})
		call.answers(lost, lost, applied)
		r.expect("cause", <-cause, ErrLeaseLost)
		r.expect("handled", r.events.String(), "1 3 ")
		r.expect("batch", call.next(), []string{"3 ack"})
		call.answers(malformed)
		r.expect("result", r.finish(), nil)
		for _, want := range []string{"sequence=1 attempt=1 status=LEASE_LOST", "sequence=2 attempt=1 status=LEASE_LOST", "sequence=3 attempt=1 status=MALFORMED"} {
			if !strings.Contains(r.log.String(), want) {
				t.Errorf("the log lacks %s:\n%s", want, r.log.String())
			}
		}
	})
}

// An ordered subscription delivers the next event of a key when the lease of the one
// before is lost; its handler may still run here.
func TestKeyWaitsForAHandlerWhoseLeaseIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		more := make(chan struct{})
		r := start(t, ConsumerOptions{Concurrency: 4}, func(_ context.Context, sequence int64) error {
			if sequence == 1 {
				<-more // It takes no notice of its context.
			}
			return nil
		})
		call := r.nth(0)
		call.opens()
		call.deliver(deliveryOf(1, "a"))
		beat(call, 20*time.Second)
		r.expect("batch", call.next(), []string{"1 extend 30s"})
		call.answers(lost)
		call.deliver(deliveryOf(2, "a"), deliveryOf(3, "b"))
		r.expect("handled", r.events.String(), "1 3 ")
		close(more)
		synctest.Wait()
		r.expect("handled", r.events.String(), "1 3 2 ")
		r.expect("result", r.finish(), nil)
	})
}

func TestUnsureSettlementsAreRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, ConsumerOptions{}, done)
		call := r.nth(0)
		call.opens()
		call.delivers(1)
		r.expect("batch", call.next(), []string{"1 ack"})
		call.answers(transient)
		r.expect("at once", call.next(), []string(nil))
		pass(firstDelay)
		r.expect("batch", call.next(), []string{"1 ack"})
		call.answers(already)
		pass(lastDelay)
		r.expect("batch", call.next(), []string(nil))
		r.expect("result", r.finish(), nil)
	})
}

// A consumer goes on with what it has when it comes back in time.
func TestLeasesOutliveTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		more := make(chan struct{})
		r := start(t, ConsumerOptions{}, func(_ context.Context, sequence int64) error {
			if sequence > 1 {
				<-more
			}
			return nil
		})
		call := r.nth(0)
		call.opens()
		call.delivers(1, 2, 3, 4)
		r.expect("batch", call.next(), []string{"1 ack"})
		call.ends(status.Error(codes.Unavailable, "the server ended"))
		more <- struct{}{} // The second event is done while there is no call.
		pass(firstDelay)

		call = r.nth(1)
		r.expect("held", call.opening().GetHeldDeliveryTokens(), []string{"1", "2", "3", "4"})
		call.opens(already, applied, lost, applied)
		r.expect("batch", call.next(), []string{"2 ack", "4 extend 30s"})
		call.answers(applied, applied)
		close(more)
		synctest.Wait()
		r.expect("handled", r.events.String(), "1 2 3 4 ")
		_ = r.finish()
	})
}

// What waited longer than its lease without a connection isn't begun until the server
// says that it is still leased.
func TestExpiredLeasesAreNotBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		more := make(chan struct{})
		r := start(t, ConsumerOptions{}, func(context.Context, int64) error { <-more; return nil })
		call := r.nth(0)
		call.opens()
		call.delivers(1, 2, 3)
		r.refusing(status.Error(codes.Unavailable, "nobody listens"))
		call.ends(status.Error(codes.Unavailable, "the server ended"))
		pass(testDeadline)
		close(more)
		synctest.Wait()
		r.expect("handled", r.events.String(), "1 ")
		r.refusing(nil)
		pass(lastDelay)
		call = r.nth(1)
		call.opens(lost, lost, applied)
		r.expect("handled", r.events.String(), "1 3 ")
		r.expect("result", r.finish(), nil)
	})
}

// However long the reasons are, a request with them isn't too large for a server.
func TestLongReasonsAreSentInParts(t *testing.T) {
	const events = 500
	l, long := newLeases(), errors.New(strings.Repeat("x", 2*maxReason))
	for i := range int64(events) {
		l.decide(l.add(deliveryOf(i+1, ""), time.Minute, time.Now()), settlementOf(long))
	}
	sent := 0
	for l.pending() {
		demands := l.next(time.Minute, time.Now())
		sent += len(demands)
		if size := proto.Size(&tidingsv1.SettlementBatch{Settlements: settlements(demands)}); len(demands) == 0 || size > 1<<20 {
			t.Fatalf("%d settlements have %d bytes", len(demands), size)
		}
	}
	if sent != events {
		t.Errorf("%d of %d are sent", sent, events)
	}
}
