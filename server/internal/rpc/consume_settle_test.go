package rpc_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// TestSettlementStatuses is the table of what becomes of settlements: of one
// alone, and of one after another of the same delivery.
func TestSettlementStatuses(t *testing.T) {
	nacked := func(n *tidingsv1.Nack) func(string) *tidingsv1.Settlement {
		return func(token string) *tidingsv1.Settlement { return nack(token, n) }
	}
	extended := func(token string) *tidingsv1.Settlement { return extend(token, time.Minute) }
	otherReason := &tidingsv1.Nack{Delay: durationpb.New(time.Hour), Reason: "another"}
	cases := []struct {
		name          string
		first, second func(token string) *tidingsv1.Settlement
		want          tidingsv1.SettlementStatus // Of the second. The first is applied.
	}{
		{"ack again", ack, ack, already},
		{"retry again", nacked(retryLate), nacked(retryLate), already},
		{"retry again for another reason", nacked(retryLate), nacked(otherReason), already},
		{"dead letter again", nacked(toDeadLetter), nacked(toDeadLetter), already},
		{"drop again", nacked(dropped), nacked(dropped), already},
		{"release again", nacked(releasedLate), nacked(releasedLate), already},
		{"extend again", extended, extended, applied},
		{"ack after extend", extended, ack, applied},
		{"retry after extend", extended, nacked(retryLate), applied},
		{"retry after ack", ack, nacked(retryLate), leaseLost},
		{"drop after ack", ack, nacked(dropped), leaseLost},
		{"release after ack", ack, nacked(released), leaseLost},
		{"dead letter after ack", ack, nacked(toDeadLetter), leaseLost},
		{"extend after ack", ack, extended, leaseLost},
		{"ack after retry", nacked(retryLate), ack, leaseLost},
		{"release after retry", nacked(retryLate), nacked(releasedLate), leaseLost},
		{"extend after retry", nacked(retryLate), extended, leaseLost},
		{"ack after dead letter", nacked(toDeadLetter), ack, leaseLost},
		{"retry after dead letter", nacked(toDeadLetter), nacked(retryLate), leaseLost},
		{"extend after dead letter", nacked(toDeadLetter), extended, leaseLost},
		{"ack after drop", nacked(dropped), ack, leaseLost},
		{"ack after release", nacked(releasedLate), ack, leaseLost},
		{"retry after release", nacked(releasedLate), nacked(retryLate), leaseLost},
	}
	for _, d := range doors {
		t.Run(d.name, some(func(t *testing.T, c client) {
			ctx := testContext(t)
			topic, s := newSubscribed(t, c)
			publishN(t, c, topic, len(cases))
			door := d.open(t, ctx, c, s)
			for _, test := range cases {
				got := door.next()
				token := got.GetDeliveryToken()
				if first := statuses(door.settle(test.first(token))); first[0] != applied {
					t.Fatalf("%s: the first is %v", test.name, first)
				}
				// Twice, for nothing of it may change anything.
				for range 2 {
					results := door.settle(test.second(token))
					if results[0].GetStatus() != test.want {
						t.Errorf("%s: %v, want %v", test.name, results, test.want)
					}
					if extended := results[0].GetStatus() == applied && test.name == "extend again"; extended != (results[0].GetDeadline() != nil) {
						t.Errorf("%s: the deadline is %v", test.name, results[0].GetDeadline())
					}
					if test.want == applied {
						break
					}
				}
				if test.name == "extend again" { // Its lease doesn't end by itself.
					wantStatuses(t, statuses(door.settle(ack(token))), applied)
				}
			}
		}, d.need...))
	}
	for _, d := range doors {
		t.Run("in one batch/"+d.name, some(func(t *testing.T, c client) {
			topic, s := newSubscribed(t, c)
			publishN(t, c, topic, 1)
			door := d.open(t, testContext(t), c, s)
			token := door.next().GetDeliveryToken()
			got := door.settle(extend(token, time.Minute), nack(token, retryLate), ack(token), nack(token, retryLate), extend(token, time.Minute), ack("x"))
			wantStatuses(t, statuses(got), applied, applied, leaseLost, already, leaseLost, malformed)
		}, d.need...))
	}
}

// TestOlderAttempt settles deliveries that were followed by another.
func TestOlderAttempt(t *testing.T) {
	for _, d := range doors {
		t.Run("after a retry/"+d.name, some(func(t *testing.T, c client) {
			topic, s := newSubscribed(t, c)
			events := publishN(t, c, topic, 2)
			door := d.open(t, testContext(t), c, s)
			first := door.next()
			wantStatuses(t, statuses(door.settle(nack(first.GetDeliveryToken(), retryAtOnce))), applied)
			second := door.next()
			if second.GetAttempt() != 2 || second.GetRecorded().GetEvent().GetId() != events[0].GetId() || second.GetDeliveryToken() == first.GetDeliveryToken() {
				t.Fatalf("after %v came %v", first, second)
			}
			old, token := first.GetDeliveryToken(), second.GetDeliveryToken()
			stale := []*tidingsv1.Settlement{ack(old), nack(old, retryAtOnce), nack(old, released), nack(old, dropped), nack(old, toDeadLetter), extend(old, time.Minute)}
			lost := []tidingsv1.SettlementStatus{leaseLost, leaseLost, leaseLost, leaseLost, leaseLost, leaseLost}
			wantStatuses(t, statuses(door.settle(stale...)), lost...)
			wantStatuses(t, statuses(door.settle(ack(token), ack(token))), applied, already)
			// It is gone now, which changes nothing.
			wantStatuses(t, statuses(door.settle(stale...)), lost...)
			wantStatuses(t, statuses(door.settle(nack(token, retryAtOnce))), leaseLost)
			if next := door.next(); next.GetRecorded().GetEvent().GetId() != events[1].GetId() || next.GetAttempt() != 1 {
				t.Errorf("then came %v", next)
			}
		}, d.need...))
		t.Run("after a deadline/"+d.name, some(func(t *testing.T, c client) {
			topic, s := newSubscribed(t, c, ackWithin(time.Second), backoffNone)
			publishN(t, c, topic, 1)
			door := d.open(t, testContext(t), c, s)
			first := door.next()
			second := door.next() // When the first has expired.
			if second.GetAttempt() != 2 || !second.GetDeadline().AsTime().After(first.GetDeadline().AsTime()) {
				t.Fatalf("after %v came %v", first, second)
			}
			old := first.GetDeliveryToken()
			got := door.settle(ack(old), nack(old, retryAtOnce), extend(old, time.Minute), ack(second.GetDeliveryToken()), ack(old))
			wantStatuses(t, statuses(got), leaseLost, leaseLost, leaseLost, applied, leaseLost)
		}, d.need...))
	}
}

func TestPastDeadline(t *testing.T) {
	t.Run("not delivered anew", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c, ackWithin(time.Second), retrying(&tidingsv1.RetryPolicy{MinBackoff: durationpb.New(time.Hour)}))
		publishN(t, c, topic, 1)
		got := pull(t, c, s, 1)[0]
		until(t, c, s, leasedNone)
		if time.Now().Before(got.GetDeadline().AsTime()) {
			t.Errorf("the lease ended before its deadline, %s", got.GetDeadline().AsTime())
		}
		token := got.GetDeliveryToken()
		wantSettled(t, c, s, leaseLost, ack(token), nack(token, retryAtOnce), nack(token, released), nack(token, dropped), nack(token, toDeadLetter), extend(token, time.Minute))
		if statistics := show(t, c, s).GetStatistics(); statistics.GetRetryingEvents() != 1 || statistics.GetDeadLetteredEvents() != 0 {
			t.Errorf("the statistics are %v", statistics)
		}
	}))
	t.Run("extended", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c, ackWithin(time.Second), backoffNone)
		publishN(t, c, topic, 2)
		both := pull(t, c, s, 2)
		results := settle(t, testContext(t), c, s, extend(both[0].GetDeliveryToken(), time.Hour))
		if deadline := results[0].GetDeadline().AsTime(); results[0].GetStatus() != applied || time.Until(deadline) < 50*time.Minute || time.Until(deadline) > 70*time.Minute {
			t.Fatalf("extended: %v", results)
		}
		// The other one expires and comes again, which tells that the time passed.
		again := pull(t, c, s, 1)
		if again[0].GetRecorded().GetSequence() != both[1].GetRecorded().GetSequence() {
			t.Fatalf("%v came again", again)
		}
		wantSettled(t, c, s, applied, ack(both[0].GetDeliveryToken()))
	}))
	t.Run("shortened", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c, ackWithin(time.Hour), backoffNone)
		publishN(t, c, topic, 1)
		first := pull(t, c, s, 1)[0]
		wantSettled(t, c, s, applied, extend(first.GetDeliveryToken(), time.Second))
		if second := pull(t, c, s, 1)[0]; second.GetAttempt() != 2 {
			t.Errorf("then came %v", second)
		}
	}))
}

// TestSettleThroughAnotherDoor: the doors lead to the same leases.
func TestSettleThroughAnotherDoor(t *testing.T) {
	for _, from := range doors {
		for _, to := range doors {
			if from.name == to.name {
				continue
			}
			t.Run(from.name+" to "+to.name, some(func(t *testing.T, c client) {
				topic, s := newSubscribed(t, c)
				publishN(t, c, topic, 1)
				one := from.open(t, testContext(t), c, s)
				token := one.next().GetDeliveryToken()
				other := to.open(t, testContext(t), c, s)
				wantStatuses(t, statuses(other.settle(extend(token, time.Minute), ack(token))), applied, applied)
				wantStatuses(t, statuses(one.settle(ack(token), nack(token, retryLate))), already, leaseLost)
			}, append(from.need, to.need...)...))
		}
	}
}
