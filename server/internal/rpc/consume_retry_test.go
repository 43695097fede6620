package rpc_test

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// wantAttempt fails the test unless a delivery is the attempt that is wanted.
func wantAttempt(t *testing.T, d *tidingsv1.Delivery, attempt int32, reason string) {
	t.Helper()
	if d.GetAttempt() != attempt || d.GetLastNackReason() != reason {
		t.Fatalf("attempt %d after %q, want %d after %q", d.GetAttempt(), d.GetLastNackReason(), attempt, reason)
	}
}

func TestRetry(t *testing.T) {
	for _, d := range doors {
		t.Run("attempts and reasons/"+d.name, each(func(t *testing.T, c client) {
			topic, s := newSubscribed(t, c, backoffNone)
			publishN(t, c, topic, 1)
			door := d.open(t, testContext(t), c, s)
			got := door.next()
			wantAttempt(t, got, 1, "")
			// Each nack's kind and reason, and what comes next.
			const retry, release = tidingsv1.NackKind_NACK_KIND_UNSPECIFIED, tidingsv1.NackKind_NACK_KIND_RELEASE
			for _, step := range []struct {
				kind    tidingsv1.NackKind
				reason  string
				attempt int32
				next    string
			}{
				{retry, "☕ is cold", 2, "☕ is cold"},
				{tidingsv1.NackKind_NACK_KIND_RETRY, "again", 3, "again"},
				{release, "", 3, "again"},
				{release, "not mine", 3, "not mine"},
				{release, "", 3, "not mine"},
				{retry, "", 4, ""},
				{release, "", 4, ""},
				{retry, "end", 5, "end"},
			} {
				results := door.settle(nack(got.GetDeliveryToken(), &tidingsv1.Nack{Kind: step.kind, Reason: step.reason}))
				wantStatuses(t, statuses(results), applied)
				got = door.next()
				wantAttempt(t, got, step.attempt, step.next)
				if got.GetRedriven() {
					t.Error("it counts as redriven")
				}
			}
			wantStatuses(t, statuses(door.settle(ack(got.GetDeliveryToken()))), applied)
			if left := show(t, c, s).GetStatistics(); left.GetInFlightEvents()+left.GetRetryingEvents()+left.GetDeadLetteredEvents() != 0 {
				t.Errorf("left is %v", left)
			}
		}, d.need...))
	}
	t.Run("first attempt released", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c)
		publishN(t, c, topic, 1)
		var tokens []string
		for range 5 {
			got := pull(t, c, s, 1)[0]
			wantAttempt(t, got, 1, "")
			tokens = append(tokens, got.GetDeliveryToken())
			wantSettled(t, c, s, applied, nack(got.GetDeliveryToken(), released))
		}
		last := pull(t, c, s, 1)[0]
		for _, token := range tokens {
			wantSettled(t, c, s, leaseLost, ack(token), nack(token, released))
		}
		ackAll(t, c, s, last)
		wantSettled(t, c, s, leaseLost, ack(tokens[0]))
	}))
	t.Run("expiry counts", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c, ackWithin(time.Second), backoffNone)
		publishN(t, c, topic, 1)
		first := pull(t, c, s, 1)[0]
		wantSettled(t, c, s, applied, nack(first.GetDeliveryToken(), &tidingsv1.Nack{Reason: "kept"}))
		wantAttempt(t, pull(t, c, s, 1)[0], 2, "kept")
		got := pull(t, c, s, 1)[0] // When the second has expired, unsettled.
		wantAttempt(t, got, 3, "kept")
		ackAll(t, c, s, got)
	}))
	t.Run("never given up", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c, retrying(&tidingsv1.RetryPolicy{
			MinBackoff: durationpb.New(0), MaxBackoff: durationpb.New(0), Attempts: &tidingsv1.RetryPolicy_UnlimitedAttempts{UnlimitedAttempts: true},
		}))
		publishN(t, c, topic, 1)
		for attempt := range int32(40) {
			got := pull(t, c, s, 1)[0]
			wantAttempt(t, got, attempt+1, "")
			wantSettled(t, c, s, applied, nack(got.GetDeliveryToken(), nil))
		}
		if got := show(t, c, s).GetStatistics().GetDeadLetteredEvents(); got != 0 {
			t.Errorf("%d dead letters", got)
		}
	}))
}

// TestBackoff compares lower bounds, to the millisecond in which the server
// counts: a machine may be slow.
func TestBackoff(t *testing.T) {
	// comesAfter nacks a delivery and returns the next one, which must not come
	// before a delay has passed.
	comesAfter := func(t *testing.T, c client, s string, d *tidingsv1.Delivery, n *tidingsv1.Nack, delay time.Duration) *tidingsv1.Delivery {
		t.Helper()
		before := time.Now()
		wantSettled(t, c, s, applied, nack(d.GetDeliveryToken(), n))
		wantNothing(t, c, s)
		next := pull(t, c, s, 1)[0]
		if took := time.Since(before) + time.Millisecond; took < delay || took > delay+20*time.Second {
			t.Errorf("attempt %d came after %s, want %s", next.GetAttempt(), took, delay)
		}
		return next
	}
	t.Run("policy", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c, retrying(&tidingsv1.RetryPolicy{
			MinBackoff: durationpb.New(150 * time.Millisecond), MaxBackoff: durationpb.New(500 * time.Millisecond), Multiplier: new(2.5),
		}))
		publishN(t, c, topic, 1)
		got := pull(t, c, s, 1)[0]
		const ms = time.Millisecond
		for _, delay := range []time.Duration{150 * ms, 375 * ms, 500 * ms, 500 * ms} {
			got = comesAfter(t, c, s, got, nil, delay)
		}
		wantAttempt(t, got, 5, "")
	}))
	t.Run("a delay of its own", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c, retrying(&tidingsv1.RetryPolicy{MinBackoff: durationpb.New(time.Hour)}))
		publishN(t, c, topic, 1)
		got := comesAfter(t, c, s, pull(t, c, s, 1)[0], &tidingsv1.Nack{Delay: durationpb.New(300 * time.Millisecond)}, 300*time.Millisecond)
		wantAttempt(t, got, 2, "")
		got = comesAfter(t, c, s, got, &tidingsv1.Nack{
			Kind: tidingsv1.NackKind_NACK_KIND_RELEASE, Delay: durationpb.New(300 * time.Millisecond),
		}, 300*time.Millisecond)
		wantAttempt(t, got, 2, "")
		wantSettled(t, c, s, applied, nack(got.GetDeliveryToken(), retryAtOnce))
		wantAttempt(t, pull(t, c, s, 1)[0], 3, "")
	}))
	t.Run("after a deadline", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c, ackWithin(time.Second), retrying(&tidingsv1.RetryPolicy{MinBackoff: durationpb.New(400 * time.Millisecond)}))
		publishN(t, c, topic, 1)
		first := pull(t, c, s, 1)[0]
		second := pull(t, c, s, 1)[0]
		leasedAt := second.GetDeadline().AsTime().Add(-time.Second)
		if delay := leasedAt.Sub(first.GetDeadline().AsTime()); delay < 400*time.Millisecond || second.GetAttempt() != 2 {
			t.Errorf("attempt %d began %s after the deadline", second.GetAttempt(), delay)
		}
	}))
	t.Run("what waits doesn't hold up what follows", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c)
		events := publishN(t, c, topic, 3)
		wantSettled(t, c, s, applied, nack(pull(t, c, s, 1)[0].GetDeliveryToken(), retryLate))
		wantIDs(t, pull(t, c, s, 2), events[1:]...)
		wantNothing(t, c, s)
	}))
}

// TestGivenUp: what became a dead letter says why.
func TestGivenUp(t *testing.T) {
	policy := retrying(&tidingsv1.RetryPolicy{MinBackoff: durationpb.New(0), MaxBackoff: durationpb.New(0), Attempts: &tidingsv1.RetryPolicy_MaxAttempts{MaxAttempts: 2}})
	for _, d := range doors {
		t.Run(d.name, some(func(t *testing.T, c client) {
			topic, s := newSubscribed(t, c, ackWithin(2*time.Second), policy)
			publishN(t, c, topic, 3)
			began := time.Now().Add(-time.Second)
			door := d.open(t, testContext(t), c, s)
			nackNext := func(attempt int32, n *tidingsv1.Nack) *tidingsv1.Delivery {
				t.Helper()
				got := door.next()
				if got.GetAttempt() != attempt {
					t.Fatalf("attempt %d, want %d", got.GetAttempt(), attempt)
				}
				wantStatuses(t, statuses(door.settle(nack(got.GetDeliveryToken(), n))), applied)
				return got
			}
			// The first has its attempts, with a release in between; the second is
			// given up at once; the third isn't settled.
			nackNext(1, &tidingsv1.Nack{Reason: "one"})
			nackNext(2, &tidingsv1.Nack{Kind: tidingsv1.NackKind_NACK_KIND_RELEASE})
			first := nackNext(2, &tidingsv1.Nack{Reason: "two"})
			second := nackNext(1, &tidingsv1.Nack{Kind: tidingsv1.NackKind_NACK_KIND_DEAD_LETTER, Reason: "never"})
			third := nackNext(1, &tidingsv1.Nack{Reason: "kept"})
			if got := door.next(); got.GetAttempt() != 2 {
				t.Fatalf("then came %v", got)
			}
			until(t, c, s, func(s *tidingsv1.SubscriptionStatistics) bool { return s.GetDeadLetteredEvents() == 3 })
			letters := listDeadLetters(t, c, s, nil)
			for i, want := range []struct {
				of       *tidingsv1.Delivery
				cause    tidingsv1.DeadLetterCause
				attempts int32
				reason   string
			}{
				{first, tidingsv1.DeadLetterCause_DEAD_LETTER_CAUSE_MAX_ATTEMPTS, 2, "two"},
				{second, tidingsv1.DeadLetterCause_DEAD_LETTER_CAUSE_NACK, 1, "never"},
				{third, tidingsv1.DeadLetterCause_DEAD_LETTER_CAUSE_DEADLINE, 2, "kept"},
			} {
				got := letters[i]
				if got.GetRecorded().GetSequence() != want.of.GetRecorded().GetSequence() || got.GetCause() != want.cause ||
					got.GetAttempts() != want.attempts || got.GetLastNackReason() != want.reason {
					t.Errorf("dead letter %d is %v, want %s after %d attempts, for %q", i, got, want.cause, want.attempts, want.reason)
				}
				begun, died := got.GetFirstAttemptTime().AsTime(), got.GetDeadLetterTime().AsTime()
				if begun.Before(began) || died.Before(begun) || died.After(time.Now().Add(time.Second)) {
					t.Errorf("dead letter %d: first attempt at %s, dead at %s", i, begun, died)
				}
			}
			if got := letters[2]; got.GetDeadLetterTime().AsTime().Sub(got.GetFirstAttemptTime().AsTime()) < 2*time.Second {
				t.Errorf("the one that expired: %v", got)
			}
		}, d.need...))
	}
	t.Run("after the default number of attempts", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c, backoffNone)
		publishN(t, c, topic, 1)
		for i := range 10 {
			wantSettled(t, c, s, applied, nack(pull(t, c, s, 1)[0].GetDeliveryToken(), &tidingsv1.Nack{Reason: fmt.Sprint(i)}))
		}
		letters := listDeadLetters(t, c, s, nil)
		if len(letters) != 1 || letters[0].GetAttempts() != 10 || letters[0].GetLastNackReason() != "9" {
			t.Errorf("dead letters: %v", letters)
		}
	}))
}
