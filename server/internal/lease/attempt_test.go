package lease

import (
	"math"
	"testing"
	"time"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

func TestBackoff(t *testing.T) {
	const never = time.Duration(math.MaxInt64)
	for _, c := range []struct {
		name     string
		minimum  time.Duration
		maximum  time.Duration
		multiply float64
		attempt  uint32
		want     int64
	}{
		{"first", time.Second, time.Minute, 2, 1, 1000},
		{"second", time.Second, time.Minute, 2, 2, 2000},
		{"sixth", time.Second, time.Minute, 2, 6, 32_000},
		{"seventh, capped", time.Second, time.Minute, 2, 7, 60_000},
		{"as far as it goes", time.Second, time.Minute, 10, math.MaxUint32, 60_000},
		{"constant", time.Second, time.Minute, 1, 1000, 1000},
		{"a fraction", time.Second, time.Minute, 1.5, 3, 2250},
		{"rounded up", 1500 * time.Microsecond, time.Minute, 1, 1, 2},
		{"capped from the first", time.Minute, time.Second, 2, 1, 1000},
		{"none", 0, time.Minute, 10, math.MaxUint32, 0},
		{"none at all", 0, 0, 2, 1, 0},
		{"no cap", 24 * time.Hour, never, 10, math.MaxUint32, milliseconds(never)},
	} {
		policy := Policy{MinBackoff: c.minimum, MaxBackoff: c.maximum, Multiplier: c.multiply}
		if got := policy.backoff(c.attempt); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// An attempt is a delivery that wasn't released. What the last nack said comes
// with the next attempt, until another nack says something else.
func TestAttemptsAndReasons(t *testing.T) {
	m := New(tidingsv1.Ordering_ORDERING_NONE, Policy{
		AckDeadline: time.Second, MinBackoff: time.Second, MaxBackoff: time.Hour, Multiplier: 2, MaxAttempts: -1,
	}, 1)
	hour, none := time.Hour, time.Duration(0)
	now := testNow
	var ref Ref
	for i, step := range []struct {
		attempt uint32
		reason  string
		// How it ends, and after how long it is due again.
		action storagev1.JournalAction
		delay  *time.Duration
		says   string
		after  int64
	}{
		{1, "", Retry, nil, "one", 1000},
		{2, "one", Release, nil, "", 0},
		{2, "one", Release, &hour, "busy", 3_600_000},
		{2, "busy", expired, nil, "", 1000 + 2000}, // The deadline, then the backoff.
		{3, "busy", Retry, &none, "three", 0},
		{4, "three", Retry, nil, "", 8000},
		{5, "", Release, &none, "", 0},
		{5, "", Retry, &hour, "five", 3_600_000},
		{6, "five", Retry, nil, "six", 32_000},
	} {
		var delivery Delivery
		ref, delivery = mustDeliver(t, m, 1, 0, now)
		want := Delivery{Number: uint32(i + 1), Attempt: step.attempt, Deadline: now + 1000, Reason: step.reason}
		if delivery != want {
			t.Fatalf("delivery %d is %+v, want %+v", i+1, delivery, want)
		}
		if step.action == expired {
			m.Expire(now+1000, 1, func(Credit) {})
		} else {
			m.Settle(Settlement{Ref: ref, Action: step.action, Delay: step.delay, Reason: step.says}, now)
		}
		if at := m.entries[1].due; at != now+step.after {
			t.Fatalf("after delivery %d it is due after %d ms, want %d", i+1, at-now, step.after)
		}
		if step.after > 0 {
			if _, ok := m.Next(now + step.after - 1); ok {
				t.Fatalf("after delivery %d it is due too early", i+1)
			}
			if at, ok := m.NextDue(now); !ok || at != now+step.after {
				t.Fatalf("after delivery %d something is due at %d, %v", i+1, at, ok)
			}
		}
		now += step.after
		if sequence, ok := m.Next(now); !ok || sequence != 1 {
			t.Fatalf("after delivery %d it isn't due", i+1)
		}
	}
	refold(t, m)
}

// What becomes a dead letter tells all that is known of it.
func TestDeadLetters(t *testing.T) {
	const (
		nack     = tidingsv1.DeadLetterCause_DEAD_LETTER_CAUSE_NACK
		attempts = tidingsv1.DeadLetterCause_DEAD_LETTER_CAUSE_MAX_ATTEMPTS
		deadline = tidingsv1.DeadLetterCause_DEAD_LETTER_CAUSE_DEADLINE
	)
	m := New(tidingsv1.Ordering_ORDERING_NONE, testPolicy, 1)
	end := func(sequence, now int64, action storagev1.JournalAction, reason string) {
		ref, _ := mustDeliver(t, m, sequence, 0, now)
		if action == expired {
			m.Expire(now+10_000, math.MaxInt, func(Credit) {})
			return
		}
		m.Settle(Settlement{Ref: ref, Action: action, Reason: reason}, now)
	}
	end(1, testNow, Bury, "bad")
	end(2, testNow+1, Retry, "first")
	end(2, testNow+2, Retry, "second")
	end(2, testNow+3, Retry, "third")
	end(3, testNow+4, Retry, "mine")
	end(3, testNow+5, expired, "")
	end(3, testNow+6, Release, "")
	end(3, testNow+7, expired, "")
	end(4, testNow+8, Release, "it isn't counted")
	end(4, testNow+9, Release, "")
	end(4, testNow+10, Bury, "")
	want := []DeadLetter{
		{1, nack, 1, 1, "bad", testNow, testNow, false},
		{2, attempts, 3, 3, "third", testNow + 1, testNow + 3, false},
		{3, deadline, 3, 4, "mine", testNow + 4, testNow + 10_007, false},
		{4, nack, 1, 3, "", testNow + 10, testNow + 10, false},
	}
	for _, m := range []*Machine{m, refold(t, m)} {
		i := 0
		for got := range m.Dying() {
			if i >= len(want) || got != want[i] {
				t.Errorf("dead letter %d is %+v", i, got)
			}
			i++
		}
		if i != len(want) || m.Len() != len(want) {
			t.Errorf("%d dead letters, %d tracked", i, m.Len())
		}
		for range m.Dying() {
			break // It may be left early.
		}
		m.Filed(1, 2, 3, 4, 5)
		if m.Len() != 0 {
			t.Errorf("%d tracked after they were filed", m.Len())
		}
	}
}

func TestActionsThatAreNotAConsumers(t *testing.T) {
	m := New(tidingsv1.Ordering_ORDERING_NONE, testPolicy, 1)
	ref, _ := mustDeliver(t, m, 1, 0, testNow)
	for _, action := range []storagev1.JournalAction{-1, 0, expired, removed, 99} {
		if status, credit := m.Settle(Settlement{Ref: ref, Action: action}, testNow); status != malformed || credit != (Credit{}) {
			t.Errorf("%v: %v", action, status)
		}
	}
	mustSettle(t, m, ref, Ack, testNow)
}
