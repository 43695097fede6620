package lease

import (
	"slices"
	"testing"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// admitAll admits events that are new, and delivers those that may be.
func admitAll(tb testing.TB, m *Machine, key uint64, sequences ...int64) (refs []Ref) {
	tb.Helper()
	for _, sequence := range sequences {
		if m.Admit(sequence, key) == Now {
			ref, _ := mustDeliver(tb, m, sequence, key, testNow)
			refs = append(refs, ref)
		}
	}
	return refs
}

func TestOneOfAKeyAtATime(t *testing.T) {
	m := New(tidingsv1.Ordering_ORDERING_KEY, testPolicy, 1)
	ones := admitAll(t, m, 1, 1, 2, 3, 4, 5)
	twos := admitAll(t, m, 2, 6, 7)
	none := admitAll(t, m, 0, 8, 9)
	if len(ones) != 1 || len(twos) != 1 || len(none) != 2 {
		t.Fatalf("delivered %v, %v and %v", ones, twos, none)
	}
	want := Statistics{Leased: 4, Blocked: 5, BlockedKeys: 2, Oldest: 1}
	if got := m.Statistics(); got != want {
		t.Fatalf("%+v, want %+v", got, want)
	}
	// A retry keeps the turn, even while it waits.
	mustSettle(t, m, ones[0], Retry, testNow)
	if sequence, ok := m.Next(testNow); ok {
		t.Fatalf("event %d is before its turn", sequence)
	}
	again, _ := mustDeliver(t, m, 1, 1, testNow+1000)
	// A dead letter gives the turn on, and so does retention.
	mustSettle(t, m, again, Bury, testNow+1000)
	if !m.Remove(3) || !m.Remove(2) {
		t.Fatal("2 and 3 were not removed")
	}
	if sequence, ok := m.Next(testNow + 1000); !ok || sequence != 4 {
		t.Fatalf("event %d, %v is next, want 4", sequence, ok)
	}
	fourth, delivery := mustDeliver(t, m, 4, 1, testNow+1000)
	if delivery.Attempt != 1 || delivery.Number != 1 {
		t.Fatalf("%+v of an event that was blocked", delivery)
	}
	if m.Remove(4) {
		t.Fatal("what a consumer has was removed")
	}
	mustSettle(t, m, fourth, Ack, testNow+1000)
	if got := m.Statistics(); got.Retrying != 1 || got.Blocked != 1 || got.BlockedKeys != 1 || got.Oldest != 5 {
		t.Fatalf("%+v", got)
	}
	refold(t, m)
}

func TestRedrivenOfAKey(t *testing.T) {
	m := New(tidingsv1.Ordering_ORDERING_KEY, testPolicy, 1)
	for _, sequence := range []int64{1, 2, 3} {
		refs := admitAll(t, m, 9, sequence)
		mustSettle(t, m, refs[0], Bury, testNow)
	}
	m.Filed(1, 2, 3)
	current := admitAll(t, m, 9, 4, 5)
	for _, sequence := range []int64{3, 1, 2} {
		if !m.Redrive(sequence, 0, 1, 9) || m.Redrive(sequence, 0, 1, 9) {
			t.Fatalf("event %d isn't redriven once", sequence)
		}
	}
	if got := m.Redriven(); !slices.Equal(got, []int64{1, 2, 3}) {
		t.Fatalf("redriven: %v", got)
	}
	mustSettle(t, m, current[0], Ack, testNow)
	var order []int64
	for {
		sequence, ok := m.Next(testNow)
		if !ok {
			break
		}
		order = append(order, sequence)
		ref, delivery := mustDeliver(t, m, sequence, 9, testNow)
		if delivery.Redriven != (sequence < 4) || delivery.Attempt != 1 {
			t.Fatalf("event %d was delivered as %+v", sequence, delivery)
		}
		mustSettle(t, m, ref, Ack, testNow)
	}
	if !slices.Equal(order, []int64{1, 2, 3, 5}) {
		t.Fatalf("the order is %v", order)
	}
	if got := slices.Sorted(m.Done()); !slices.Equal(got, []int64{1, 2, 3}) {
		t.Fatalf("done: %v", got)
	}
	for range m.Done() {
		break // It may be left early.
	}
	if got := m.Statistics(); got != (Statistics{}) {
		t.Fatalf("what is done counts: %+v", got)
	}
	refold(t, m)
}

func TestOneAtAllAtATime(t *testing.T) {
	m := New(tidingsv1.Ordering_ORDERING_TOTAL, testPolicy, 1)
	first := admitAll(t, m, 1, 1, 2)
	if len(first) != 1 || m.Position() != 2 || m.CanAdmit() {
		t.Fatalf("delivered %v, the position is %d", first, m.Position())
	}
	mustSettle(t, m, first[0], Bury, testNow)
	m.Filed(1)
	if got := m.Admit(2, 0); got != Now {
		t.Fatalf("after a dead letter: %v", got)
	}
	second := admitAll(t, m, 2, 2)
	if !m.Redrive(1, 0, 1, 0) {
		t.Fatal("event 1 was not redriven")
	}
	if got := m.Statistics(); got.Retrying != 1 || got.Blocked != 0 || got.BlockedKeys != 0 {
		t.Fatalf("what was redriven waits for another: %+v", got)
	}
	if _, ok := m.Deliver(1, 0, 7, 100, testNow); ok {
		t.Fatal("two are unsettled")
	}
	mustSettle(t, m, second[0], Retry, testNow)
	if _, ok := m.Next(testNow); ok || m.CanAdmit() {
		t.Fatal("a retry lost its turn")
	}
	again, _ := mustDeliver(t, m, 2, 0, testNow+1000)
	mustSettle(t, m, again, Drop, testNow+1000)
	// What was redriven goes before what is new.
	if sequence, ok := m.Next(testNow + 1000); !ok || sequence != 1 || m.CanAdmit() {
		t.Fatalf("event %d, %v is next, want 1", sequence, ok)
	}
	refold(t, m)
}

func TestUnorderedLowestOfTheDueFirst(t *testing.T) {
	m := New(tidingsv1.Ordering_ORDERING_UNSPECIFIED, testPolicy, 1)
	refs := admitAll(t, m, 1, 1, 2, 3, 4)
	for i, at := range []int64{3, 2, 1, 0} { // Event 4 is due first, event 1 last.
		mustSettle(t, m, refs[i], Retry, testNow+at)
	}
	for _, c := range []struct{ now, want int64 }{{1000, 4}, {1001, 3}, {1003, 1}} {
		if got, ok := m.Next(testNow + c.now); !ok || got != c.want {
			t.Fatalf("after %d ms event %d, %v is next, want %d", c.now, got, ok, c.want)
		}
	}
	if _, ok := m.NextDue(testNow + 1003); ok {
		t.Fatal("what is due is to become due")
	}
}
