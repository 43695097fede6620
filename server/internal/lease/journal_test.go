package lease

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// kinds returns what changes are, with the number of their events.
func kinds(changes []*storagev1.JournalChange) []string {
	var kinds []string
	for _, change := range changes {
		sequences := len(change.GetDelivered().GetSequences()) + len(change.GetBlocked().GetSequences()) +
			len(change.GetSettled().GetSequences()) + len(change.GetFiled().GetSequences()) +
			len(change.GetRedriven().GetSequences())
		name := strings.TrimPrefix(fmt.Sprintf("%T", change.GetChange()), "*storagev1.JournalChange_")
		kinds = append(kinds, fmt.Sprintf("%s %d", name, sequences))
	}
	return kinds
}

// What happens alike in a turn is one change.
func TestChangesAreMerged(t *testing.T) {
	m := New(tidingsv1.Ordering_ORDERING_KEY, testPolicy, 1)
	check := func(want ...string) {
		t.Helper()
		if got := kinds(m.Changes()); !slices.Equal(got, want) {
			t.Fatalf("changes %q, want %q", got, want)
		}
	}
	m.Owned("me")
	m.Used(testNow)
	m.Used(testNow + 59_999)
	m.Used(testNow + 60_000)
	check("Owned 0", "Used 0", "Used 0")

	// The filter leaves every other event out: the next delivery tells it.
	var refs []Ref
	for sequence := int64(2); sequence <= 20; sequence += 2 {
		m.Skip(sequence, nil)
		refs = append(refs, admitAll(t, m, uint64(sequence), sequence)...)
	}
	check("Delivered 10")
	m.Skip(30, nil)
	m.Skip(40, nil)
	check("Advanced 0")
	admitAll(t, m, 2, 41)
	m.Skip(43, nil)
	admitAll(t, m, 2, 43)
	check("Blocked 2")
	m.Skip(45, &tidingsv1.Gap{FirstSequence: 44, NextSequence: 45})
	admitAll(t, m, 100, 50)
	check("Delivered 1", "Advanced 0") // A gap is told in any case.

	for _, ref := range refs[:4] {
		mustSettle(t, m, ref, Ack, testNow)
	}
	mustSettle(t, m, refs[4], Drop, testNow)
	mustSettle(t, m, refs[5], Bury, testNow)
	mustSettle(t, m, refs[6], Bury, testNow)
	m.Filed(12, 14)
	m.Redrive(12, 0, 1, 12)
	m.Redrive(14, 0, 1, 14)
	m.Extend(refs[7], time.Minute, testNow)
	check("Settled 4", "Settled 1", "DeadLettered 0", "DeadLettered 0", "Filed 2", "Redriven 2", "Extended 0")
	mustDeliver(t, m, 12, 12, testNow)
	mustDeliver(t, m, 14, 14, testNow+1) // At another time.
	policy := testPolicy
	policy.AckDeadline -= time.Millisecond
	m.SetPolicy(policy)
	mustDeliver(t, m, 60, 60, testNow+1) // To another deadline.
	m.SetPolicy(testPolicy)
	mustDeliver(t, m, 61, 61, testNow)
	m.SetPolicy(policy)
	mustDeliver(t, m, 62, 62, testNow+1) // At another time to the same deadline.
	m.Skip(70, nil)
	m.SeekTo(1, nil, "")
	check("Delivered 1", "Delivered 1", "Delivered 1", "Delivered 1", "Delivered 1", "Advanced 0", "Sought 0")
	check()
}

// The journal of many changes is cut into entries of about the size that was
// asked for, never more.
func TestEntriesAreBounded(t *testing.T) {
	const events = 4 * maxMerged
	const first = math.MaxInt64 / 2
	m := New(tidingsv1.Ordering_ORDERING_KEY, testPolicy, first)
	key := func(sequence int64) uint64 { return math.MaxUint64 - uint64((sequence-first)/2) }
	for sequence := int64(first); sequence < first+events; sequence++ {
		admitAll(t, m, key(sequence), sequence) // Every other one is blocked.
	}
	for i := int64(0); i < events; i += 2 {
		s := Settlement{
			Ref:    Ref{Sequence: first + i, Delivery: 1},
			Action: []storagev1.JournalAction{Retry, Bury, Ack, Drop}[4*i/events],
			Reason: strings.Repeat("r", int(i%1024)),
		}
		if status, _ := m.Settle(s, testNow); status != applied {
			t.Fatalf("%+v: %v", s.Ref, status)
		}
	}
	var dead []int64
	for letter := range m.Dying() {
		dead = append(dead, letter.Sequence)
	}
	m.Filed(dead...)
	for _, sequence := range dead {
		if !m.Redrive(sequence, math.MaxUint64, 1, key(sequence)) {
			t.Fatalf("event %d was not redriven", sequence)
		}
	}
	for sequence, ok := m.Next(testNow); ok; sequence, ok = m.Next(testNow) {
		mustDeliver(t, m, sequence, 0, testNow)
	}
	m.Skip(first+events+10, &tidingsv1.Gap{FirstSequence: first + events, NextSequence: first + events + 10})
	changes := m.Changes()
	want := dump(m, false)
	for _, chunk := range []int{60_000, 250_000, 900_000} {
		checkChunks(t, m, Entries(changes, chunk), chunk, want)
		checkChunks(t, m, m.Snapshot(chunk), chunk, want)
	}

	m = New(tidingsv1.Ordering_ORDERING_NONE, testPolicy, first)
	for sequence := int64(first); sequence < first+events; sequence++ {
		mustDeliver(t, m, sequence, 0, testNow)
	}
	for sequence := int64(first); sequence < first+events; sequence++ {
		mustSettle(t, m, Ref{Sequence: sequence, Delivery: 1}, Ack, testNow)
	}
	checkChunks(t, m, Entries(m.Changes(), 60_000), 60_000, dump(m, false))
}

// checkChunks checks the size of entries, and that they give a state.
func checkChunks(t *testing.T, m *Machine, entries []*storagev1.JournalEntry, chunk int, want []string) {
	t.Helper()
	total := 0
	for i, entry := range entries {
		size := proto.Size(entry)
		if size > chunk {
			t.Errorf("entry %d has %d bytes, for chunks of %d", i, size, chunk)
		}
		total += size
	}
	if most := 5 * (1 + total/chunk); len(entries) > most {
		t.Errorf("%d bytes are in %d entries, for chunks of %d", total, len(entries), chunk)
	}
	journal, err := stored(nil).store(entries)
	if err != nil {
		t.Fatal(err)
	}
	folded, err := journal.fold(New(m.ordering, m.policy, 1))
	if err != nil {
		t.Fatal(err)
	}
	if got := dump(folded, false); !slices.Equal(got, want) {
		t.Errorf("chunks of %d give another state", chunk)
	}
}

// What a snapshot takes at its largest.
func TestSnapshotOfAFullMachine(t *testing.T) {
	m := New(tidingsv1.Ordering_ORDERING_NONE, testPolicy, 1)
	fill(t, m)
	for sequence := int64(1); sequence <= maxOutcomes; sequence++ {
		m.outcomes.remember(outcome{sequence: sequence, delivery: 2, action: Ack})
	}
	size := 0
	for _, entry := range m.Snapshot(500_000) {
		size += proto.Size(entry)
	}
	t.Logf("%d tracked events and %d outcomes: %d bytes", m.Len(), len(m.outcomes.ring), size)
	if size > 4<<20 {
		t.Errorf("a snapshot has %d bytes", size)
	}
}

// fill leases as many events as there is room for.
func fill(tb testing.TB, m *Machine) {
	tb.Helper()
	for m.Room() > 0 {
		mustDeliver(tb, m, m.Position(), 0, testNow)
	}
}

func TestNoMoreOnTheirWay(t *testing.T) {
	m := New(tidingsv1.Ordering_ORDERING_NONE, testPolicy, 1)
	fill(t, m)
	next := m.Position()
	if m.Len() != MaxTracked || m.CanAdmit() || m.Admit(next, 0) != Later || m.Redrive(next+5, 0, 1, 0) {
		t.Fatalf("there is room for another beside %d", m.Len())
	}
	if _, ok := m.Deliver(next, 0, 7, 100, testNow); ok || m.Position() != next {
		t.Fatal("one too many was delivered")
	}
	dead := Ref{Sequence: 1, Delivery: 1}
	mustSettle(t, m, dead, Bury, testNow)
	if m.CanAdmit() {
		t.Fatal("what dies takes no room")
	}
	m.Filed(1)
	if m.Admit(next, 0) != Now {
		t.Fatal("there is no room after a dead letter was stored")
	}
}

// Only so many outcomes are remembered, the last ones.
func TestOutcomesAreForgotten(t *testing.T) {
	m := New(tidingsv1.Ordering_ORDERING_NONE, testPolicy, 1)
	const forgotten = 1000
	for sequence := int64(1); sequence <= maxOutcomes+forgotten; sequence++ {
		ref, _ := mustDeliver(t, m, sequence, 0, testNow)
		mustSettle(t, m, ref, Drop, testNow)
		m.Changes()
	}
	folded, err := stored(nil).store(m.Snapshot(100_000))
	if err != nil {
		t.Fatal(err)
	}
	restored, err := folded.fold(New(m.ordering, m.policy, 1))
	if err != nil {
		t.Fatal(err)
	}
	// The restored one goes on forgetting where the other does.
	for _, m := range []*Machine{m, restored} {
		for sequence := m.Position(); sequence <= maxOutcomes+2*forgotten; sequence++ {
			ref, _ := mustDeliver(t, m, sequence, 0, testNow)
			mustSettle(t, m, ref, Drop, testNow)
		}
		for sequence := int64(1); sequence < m.Position(); sequence++ {
			status, _ := m.Settle(Settlement{Ref: Ref{Sequence: sequence, Delivery: 1}, Action: Drop}, testNow)
			if want := sequence > 2*forgotten; (status == already) != want {
				t.Fatalf("event %d: %v", sequence, status)
			}
			// Forgotten ones count as the usual, and no more.
			status, _ = m.Settle(Settlement{Ref: Ref{Sequence: sequence, Delivery: 1}, Action: Ack}, testNow)
			if want := sequence <= 2*forgotten; (status == already) != want {
				t.Fatalf("event %d, acked: %v", sequence, status)
			}
			if status, _ = m.Settle(Settlement{Ref: Ref{Sequence: sequence, Delivery: 2}, Action: Ack}, testNow); status != lost {
				t.Fatalf("event %d, its second delivery: %v", sequence, status)
			}
		}
		if len(m.outcomes.ring) != maxOutcomes || len(m.outcomes.index) != maxOutcomes {
			t.Fatalf("%d outcomes and %d in the index", len(m.outcomes.ring), len(m.outcomes.index))
		}
	}
	if !slices.Equal(dump(m, false), dump(restored, false)) {
		t.Fatal("the restored machine forgets others")
	}
}
