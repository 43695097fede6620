package lease

import (
	"slices"
	"testing"
	"time"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// testPolicy is that of the tests that don't care.
var testPolicy = Policy{
	AckDeadline: 10 * time.Second,
	MinBackoff:  time.Second,
	MaxBackoff:  time.Minute,
	Multiplier:  2,
	MaxAttempts: 3,
}

// testNow is when the tests begin that look at no clock.
const testNow = int64(1_700_000_000_000)

// mustDeliver delivers an event to holder 7 and returns the delivery.
func mustDeliver(tb testing.TB, m *Machine, sequence int64, key uint64, now int64) (Ref, Delivery) {
	tb.Helper()
	delivery, ok := m.Deliver(sequence, key, 7, 100, now)
	if !ok {
		tb.Fatalf("event %d was not delivered", sequence)
	}
	return Ref{Generation: m.generation, Sequence: sequence, Delivery: delivery.Number}, delivery
}

// mustSettle settles a delivery.
func mustSettle(tb testing.TB, m *Machine, ref Ref, action storagev1.JournalAction, now int64) {
	tb.Helper()
	if status, credit := m.Settle(Settlement{Ref: ref, Action: action}, now); status != applied || credit != (Credit{7, 100}) {
		tb.Fatalf("settling %+v: %v, credit %+v", ref, status, credit)
	}
}

// settled returns a case that settles the delivery in a way.
func settled(action storagev1.JournalAction) func(testing.TB, *Machine, Ref) (Ref, int64) {
	return func(tb testing.TB, m *Machine, ref Ref) (Ref, int64) {
		mustSettle(tb, m, ref, action, testNow)
		return ref, testNow
	}
}

// statusCases are what may have become of a delivery, with what each action
// then gives: that of ack, drop, retry, release, dead letter, extension, hold.
var statusCases = []struct {
	name string
	// become takes the machine from the first delivery of event 1 to the time
	// of the settlement, and returns what is settled.
	become func(testing.TB, *Machine, Ref) (Ref, int64)
	want   [7]tidingsv1.SettlementStatus
}{
	{"leased", func(_ testing.TB, _ *Machine, ref Ref) (Ref, int64) {
		return ref, testNow
	}, [7]tidingsv1.SettlementStatus{applied, applied, applied, applied, applied, applied, applied}},
	{"just before the deadline", func(_ testing.TB, _ *Machine, ref Ref) (Ref, int64) {
		return ref, testNow + 9999
	}, [7]tidingsv1.SettlementStatus{applied, applied, applied, applied, applied, applied, applied}},
	{"at the deadline", func(_ testing.TB, _ *Machine, ref Ref) (Ref, int64) {
		return ref, testNow + 10_000
	}, [7]tidingsv1.SettlementStatus{lost, lost, lost, lost, lost, lost, lost}},
	{"after the deadline that was moved", func(_ testing.TB, m *Machine, ref Ref) (Ref, int64) {
		m.Extend(ref, time.Second, testNow)
		return ref, testNow + 1000
	}, [7]tidingsv1.SettlementStatus{lost, lost, lost, lost, lost, lost, lost}},
	{"before the deadline that was moved", func(_ testing.TB, m *Machine, ref Ref) (Ref, int64) {
		m.Extend(ref, time.Minute, testNow)
		return ref, testNow + 59_999
	}, [7]tidingsv1.SettlementStatus{applied, applied, applied, applied, applied, applied, applied}},
	{"expired", func(_ testing.TB, m *Machine, ref Ref) (Ref, int64) {
		m.Expire(testNow+10_000, 1, func(Credit) {})
		return ref, testNow + 10_000
	}, [7]tidingsv1.SettlementStatus{lost, lost, lost, lost, lost, lost, lost}},
	{"expired and delivered anew", func(tb testing.TB, m *Machine, ref Ref) (Ref, int64) {
		m.Expire(testNow+10_000, 1, func(Credit) {})
		mustDeliver(tb, m, 1, 0, testNow+11_000)
		return ref, testNow + 11_000
	}, [7]tidingsv1.SettlementStatus{lost, lost, lost, lost, lost, lost, lost}},
	{
		"acked", settled(Ack),
		[7]tidingsv1.SettlementStatus{already, lost, lost, lost, lost, lost, already},
	},
	{
		"dropped", settled(Drop),
		[7]tidingsv1.SettlementStatus{lost, already, lost, lost, lost, lost, already},
	},
	{
		"to be retried", settled(Retry),
		[7]tidingsv1.SettlementStatus{lost, lost, already, lost, lost, lost, already},
	},
	{
		"released", settled(Release),
		[7]tidingsv1.SettlementStatus{lost, lost, lost, already, lost, lost, already},
	},
	{
		"a dead letter", settled(Bury),
		[7]tidingsv1.SettlementStatus{lost, lost, lost, lost, already, lost, already},
	},
	{"a stored dead letter", func(tb testing.TB, m *Machine, ref Ref) (Ref, int64) {
		mustSettle(tb, m, ref, Bury, testNow)
		m.Filed(1)
		return ref, testNow
	}, [7]tidingsv1.SettlementStatus{lost, lost, lost, lost, already, lost, already}},
	{"a dead letter by its last retry", func(tb testing.TB, m *Machine, ref Ref) (Ref, int64) {
		policy := testPolicy
		policy.MaxAttempts = 1
		m.SetPolicy(policy)
		mustSettle(tb, m, ref, Retry, testNow)
		return ref, testNow
	}, [7]tidingsv1.SettlementStatus{lost, lost, already, lost, lost, lost, already}},
	{"a dead letter by its last deadline", func(_ testing.TB, m *Machine, ref Ref) (Ref, int64) {
		policy := testPolicy
		policy.MaxAttempts = 1
		m.SetPolicy(policy)
		m.Expire(testNow+10_000, 1, func(Credit) {})
		m.Filed(1)
		return ref, testNow + 10_000
	}, [7]tidingsv1.SettlementStatus{lost, lost, lost, lost, lost, lost, lost}},
	{"to be retried, delivered anew and acked", func(tb testing.TB, m *Machine, ref Ref) (Ref, int64) {
		mustSettle(tb, m, ref, Retry, testNow)
		second, _ := mustDeliver(tb, m, 1, 0, testNow+1000)
		mustSettle(tb, m, second, Ack, testNow+1000)
		return ref, testNow + 1000
	}, [7]tidingsv1.SettlementStatus{lost, lost, lost, lost, lost, lost, lost}},
	{"acked at the second delivery", func(tb testing.TB, m *Machine, ref Ref) (Ref, int64) {
		mustSettle(tb, m, ref, Release, testNow)
		second, _ := mustDeliver(tb, m, 1, 0, testNow)
		mustSettle(tb, m, second, Ack, testNow)
		return second, testNow
	}, [7]tidingsv1.SettlementStatus{already, lost, lost, lost, lost, lost, already}},
	{"removed by retention after a retry", func(tb testing.TB, m *Machine, ref Ref) (Ref, int64) {
		mustSettle(tb, m, ref, Retry, testNow)
		if !m.Remove(1) {
			tb.Fatal("event 1 was not removed")
		}
		return ref, testNow
	}, [7]tidingsv1.SettlementStatus{lost, lost, already, lost, lost, lost, already}},
	{"before a seek", func(_ testing.TB, m *Machine, ref Ref) (Ref, int64) {
		m.SeekTo(1, nil, "")
		return ref, testNow
	}, [7]tidingsv1.SettlementStatus{lost, lost, lost, lost, lost, lost, lost}},
	{"acked before a seek", func(tb testing.TB, m *Machine, ref Ref) (Ref, int64) {
		mustSettle(tb, m, ref, Ack, testNow)
		m.SeekTo(1, nil, "")
		return ref, testNow
	}, [7]tidingsv1.SettlementStatus{lost, lost, lost, lost, lost, lost, lost}},
	{"before a seek and delivered anew", func(tb testing.TB, m *Machine, ref Ref) (Ref, int64) {
		m.SeekTo(1, nil, "")
		mustDeliver(tb, m, 1, 0, testNow)
		return ref, testNow
	}, [7]tidingsv1.SettlementStatus{lost, lost, lost, lost, lost, lost, lost}},
	{"a redriven dead letter", func(tb testing.TB, m *Machine, ref Ref) (Ref, int64) {
		mustSettle(tb, m, ref, Bury, testNow)
		m.Filed(1)
		if !m.Redrive(1, 0, 1, 0) {
			tb.Fatal("event 1 was not redriven")
		}
		return ref, testNow
	}, [7]tidingsv1.SettlementStatus{lost, lost, lost, lost, already, lost, already}},
	{"a redriven dead letter that was delivered", func(tb testing.TB, m *Machine, ref Ref) (Ref, int64) {
		mustSettle(tb, m, ref, Bury, testNow)
		m.Filed(1)
		m.Redrive(1, 0, 1, 0)
		mustDeliver(tb, m, 1, 0, testNow)
		return ref, testNow
	}, [7]tidingsv1.SettlementStatus{lost, lost, lost, lost, lost, lost, lost}},
}

func TestSettlementStatus(t *testing.T) {
	actions := []storagev1.JournalAction{Ack, Drop, Retry, Release, Bury}
	for _, c := range statusCases {
		for i, want := range c.want {
			m := New(tidingsv1.Ordering_ORDERING_NONE, testPolicy, 1)
			first, _ := mustDeliver(t, m, 1, 0, testNow)
			ref, now := c.become(t, m, first)
			// What is recovered from the journal gives the same answers.
			for _, m := range []*Machine{m, refold(t, m)} {
				before := dump(m, true)
				var got tidingsv1.SettlementStatus
				switch {
				case i < len(actions):
					got, _ = m.Settle(Settlement{Ref: ref, Action: actions[i]}, now)
				case i == len(actions):
					got, _ = m.Extend(ref, time.Minute, now)
				default:
					got, _ = m.Hold(ref, 8, now)
				}
				if got != want {
					t.Errorf("%s, settlement %d: %v, want %v", c.name, i, got, want)
				}
				if changed := !slices.Equal(dump(m, true), before); changed != (want == applied) {
					t.Errorf("%s, settlement %d: %v, and changed something: %v", c.name, i, got, changed)
				}
			}
		}
	}
}
