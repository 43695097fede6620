package main

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// What is handled while a batch is on its way makes the next one.
func TestSettlementsGoInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, new(fakeServer), done)
		call := r.call(0)
		r.expect("subscription", call.opening().GetSubscription(), "notifications")
		call.opens()
		call.delivers(1, 2, 3, 4)
		r.expect("handled", r.events.String(), "1 2 3 4 ")
		r.expect("first batch", call.batch(), []string{"1 ack"})
		r.expect("while it has no answer", call.batch(), []string(nil))
		call.answers(applied)
		r.expect("second batch", call.batch(), []string{"2 ack", "3 ack", "4 ack"})
		call.answers(applied, already, applied)
		r.expect("third batch", call.batch(), []string(nil))
		r.expect("result", r.finish(), nil)
		r.expect("settled at the end", r.settledLast(), []string(nil))
	})
}

func TestFailuresAreRefused(t *testing.T) {
	long := strings.Repeat("é", 2000)
	for want, err := range map[string]error{
		"1 DEAD_LETTER (can't be handled)": errHopeless,
		"1 RETRY (no paper)":               errors.New("no paper"),
		"1 RETRY (" + long + ")":           errors.New(long), // The server cuts it.
		"1 RETRY (no \uFFFD paper)":        errors.New("no \xff paper"),
	} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, new(fakeServer), func(int64) error { return err })
			call := r.call(0)
			call.opens()
			call.delivers(1)
			batch := call.settlements()
			r.expect("batch", shown(batch), []string{want})
			if reason := batch[0].GetNack().GetReason(); !utf8.ValidString(reason) {
				t.Errorf("the reason is not UTF-8: %q", reason)
			}
			call.answers(applied)
			r.expect("result", r.finish(), nil)
		})
	}
}

func TestSlowWorkGetsMoreTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, new(fakeServer), func(int64) error {
			<-time.After(25 * time.Second)
			return nil
		})
		call := r.call(0)
		call.opens()
		call.delivers(1, 2)
		both := []string{"1 extend 30s", "2 extend 30s"}
		for range 2 {
			pass(ackDeadline / 3)
			r.expect("batch", call.batch(), both)
			call.answers(applied, applied)
		}
		pass(5 * time.Second)
		r.expect("batch", call.batch(), []string{"1 ack"})
		call.answers(applied)
		pass(5 * time.Second)
		r.expect("batch", call.batch(), []string{"2 extend 30s"})
		call.answers(applied)
		r.expect("result", r.finish(), nil)
		r.expect("settled at the end", r.settledLast(), []string{"2 ack"})
	})
}

// An event that another worker has by now isn't begun.
func TestLostLeasesAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, new(fakeServer), func(int64) error {
			<-time.After(15 * time.Second)
			return nil
		})
		call := r.call(0)
		call.opens()
		call.delivers(1, 2, 3)
		pass(ackDeadline / 3)
		var statuses []tidingsv1.SettlementStatus
		for _, s := range call.settlements() {
			statuses = append(statuses, map[string]tidingsv1.SettlementStatus{"1": applied, "2": lost, "3": applied}[s.GetDeliveryToken()])
		}
		call.answers(statuses...)
		pass(5 * time.Second)
		r.expect("handled", r.events.String(), "1 3 ")
		r.expect("batch", call.batch(), []string{"1 ack"})
		call.answers(lost)
		r.expect("result", r.finish(), nil)
		r.expect("settled at the end", r.settledLast(), []string{"3 ack"})
		r.expect("log", r.log.String(), "event 2, attempt 1: SETTLEMENT_STATUS_LEASE_LOST\nevent 1, attempt 1: SETTLEMENT_STATUS_LEASE_LOST\n")
	})
}

func TestUnsureSettlementsAreRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, new(fakeServer), done)
		call := r.call(0)
		call.opens()
		call.delivers(1)
		r.expect("batch", call.batch(), []string{"1 ack"})
		call.answers(transient)
		r.expect("at once", call.batch(), []string(nil))
		pass(ackDeadline / 3)
		r.expect("batch", call.batch(), []string{"1 ack"})
		call.answers(already)
		pass(ackDeadline / 3)
		r.expect("batch", call.batch(), []string(nil))
		r.expect("result", r.finish(), nil)
	})
}

// A worker goes on with what it has when it comes back in time.
func TestLeasesOutliveTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		more := make(chan struct{})
		r := start(t, new(fakeServer), func(sequence int64) error {
			if sequence > 1 {
				<-more
			}
			return nil
		})
		call := r.call(0)
		call.opens()
		call.delivers(1, 2, 3, 4)
		r.expect("batch", call.batch(), []string{"1 ack"})
		call.ends(status.Error(codes.Unavailable, "the server ended"))
		more <- struct{}{} // The second event is done while there is no call.
		pass(minBackoff)

		call = r.call(1)
		held := call.opening().GetHeldDeliveryTokens()
		var statuses []tidingsv1.SettlementStatus
		for _, token := range held {
			statuses = append(statuses, map[string]tidingsv1.SettlementStatus{"1": already, "2": applied, "3": lost, "4": applied}[token])
		}
		r.expect("held", len(held), 4)
		call.opens(statuses...)
		r.expect("batch", call.batch(), []string{"2 ack", "4 extend 30s"})
		call.answers(applied, applied)
		close(more)
		synctest.Wait()
		r.expect("handled", r.events.String(), "1 2 4 ")
		_ = r.finish()
	})
}

func TestCallsAreRepeatedWithBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &fakeServer{refuse: status.Error(codes.Unavailable, "nobody listens")}
		r := start(t, server, done)
		pass(5 * time.Minute)
		refused := server.refusing(nil)
		// Once the delay has grown, there are 5 s between two on average.
		if n := len(refused); n < 30 || n > 200 {
			t.Errorf("%d calls in 5 minutes", n)
		}
		longest := minBackoff
		for i, at := range refused[1:] {
			if wait := at.Sub(refused[i]); wait > longest {
				t.Errorf("%v before call %d, want at most %v", wait, i+1, longest)
			}
			longest = min(2*longest, maxBackoff)
		}
		pass(maxBackoff)
		call := r.call(0)
		call.opens()
		call.ends(status.Error(codes.Unavailable, "the server ended"))
		pass(minBackoff)
		r.call(1)
		r.expect("result", r.finish(), nil)
	})
}

func TestSomeErrorsAreFinal(t *testing.T) {
	for code, message := range map[codes.Code]string{
		codes.NotFound:           "no such subscription",
		codes.FailedPrecondition: "its topic is gone",
	} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, new(fakeServer), done)
			r.call(0).ends(status.Error(code, message))
			if err := <-r.result; status.Code(err) != code {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestASilentServerIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, new(fakeServer), done)
		call := r.call(0)
		call.opens()
		for range 10 {
			pass(heartbeat)
			call.beats()
		}
		r.call(0)
		pass(silence + minBackoff)
		r.call(1)
		if !strings.Contains(r.log.String(), errSilent.Error()) {
			t.Errorf("the log doesn't say why: %s", r.log.String())
		}
		r.expect("result", r.finish(), nil)
	})
}

func TestADrainingServerIsLeftWhenAllIsSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, new(fakeServer), func(int64) error {
			<-time.After(time.Second)
			return nil
		})
		call := r.call(0)
		call.opens()
		call.delivers(1)
		call.drains()
		r.expect("ended with an event in hand", call.ended(), false)
		pass(time.Second)
		r.expect("batch", call.batch(), []string{"1 ack"})
		r.expect("ended before the answer", call.ended(), false)
		call.answers(applied)
		r.expect("ended", call.ended(), true)
		call.ends(io.EOF)
		pass(minBackoff)
		r.expect("held", r.call(1).opening().GetHeldDeliveryTokens(), []string(nil))
		r.expect("result", r.finish(), nil)
	})
}

// A worker that is stopped finishes what it has begun and releases the rest,
// also what comes while it ends.
func TestTheRestIsReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		more := make(chan struct{})
		r := start(t, new(fakeServer), func(int64) error { <-more; return nil })
		call := r.call(0)
		call.opens()
		call.delivers(1, 2)
		r.stop()
		synctest.Wait()
		r.expect("ended", call.ended(), true)
		call.delivers(3)
		close(more)
		synctest.Wait()
		call.ends(io.EOF)
		r.expect("result", <-r.result, nil)
		r.expect("settled", r.settledLast(), []string{"1 ack", "2 RELEASE", "3 RELEASE"})
		r.expect("handled", r.events.String(), "1 ")
	})
}

func TestWhatCannotBeSettledAtTheEndIsAnError(t *testing.T) {
	for want, refuse := range map[string]error{
		"settle the last 2 deliveries: rpc error: code = Unavailable desc = gone": status.Error(codes.Unavailable, "gone"),
		"1 deliveries may be unsettled":                                           nil,
	} {
		synctest.Test(t, func(t *testing.T) {
			server := &fakeServer{results: []tidingsv1.SettlementStatus{applied, transient}}
			r := start(t, server, func(int64) error { <-time.After(time.Second); return nil })
			r.call(0).opens()
			r.call(0).delivers(1, 2)
			server.refusing(refuse)
			r.expect("result", r.finish(), want)
		})
	}
}
