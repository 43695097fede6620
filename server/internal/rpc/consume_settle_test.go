package rpc_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

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
