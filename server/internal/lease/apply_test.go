package lease

import (
	"errors"
	"math"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// leasedTwo leases events 1 and 2 of two keys, blocks 3 and lets 4 wait.
const leasedTwo = `
changes { delivered { sequences: 1 sequences: 2 keys: 1 keys: 2 at: 5 deadline: 10 } }
changes { blocked { sequences: 3 keys: 1 } }
changes { delivered { sequences: 4 keys: 4 at: 5 deadline: 10 } }
changes { deferred { sequence: 4 action: JOURNAL_ACTION_RETRY due: 20 } }
`

func TestJournalsThatMakeNoSense(t *testing.T) {
	for _, c := range []struct{ name, changes string }{
		{"no change", `changes {}`},
		{"delivered twice", `changes { delivered { sequences: 1 keys: 1 } }`},
		{"delivered while blocked", `changes { delivered { sequences: 3 keys: 1 } }`},
		{"delivered before its turn", `changes { delivered { sequences: 5 keys: 1 } }`},
		{"delivered below the position", `changes { advanced { position: 9 } } changes { delivered { sequences: 8 keys: 8 } }`},
		{"delivered without a key", `changes { delivered { sequences: 5 } }`},
		{"delivered with two keys", `changes { delivered { sequences: 5 keys: 5 keys: 6 } }`},
		{"delivered where there is no event", `changes { delivered { sequences: 9223372036854775807 keys: 5 } }`},
		{"blocked twice", `changes { blocked { sequences: 3 keys: 1 } }`},
		{"blocked by none", `changes { blocked { sequences: 5 keys: 5 } }`},
		{"blocked without a key", `changes { blocked { sequences: 5 } }`},
		{"blocked without order", `changes { blocked { sequences: 5 keys: 0 } }`},
		{"advanced backwards", `changes { advanced { position: 4 } }`},
		{"settled from nowhere", `changes { settled { sequences: 9 action: JOURNAL_ACTION_ACK } }`},
		{"acked while waiting", `changes { settled { sequences: 4 action: JOURNAL_ACTION_ACK } }`},
		{"removed while leased", `changes { settled { sequences: 1 action: JOURNAL_ACTION_REMOVE } }`},
		{"settled by a retry", `changes { settled { sequences: 1 action: JOURNAL_ACTION_RETRY } }`},
		{"deferred from nowhere", `changes { deferred { sequence: 9 action: JOURNAL_ACTION_RETRY } }`},
		{"deferred while waiting", `changes { deferred { sequence: 4 action: JOURNAL_ACTION_RETRY } }`},
		{"deferred by an ack", `changes { deferred { sequence: 1 action: JOURNAL_ACTION_ACK } }`},
		{"extended while waiting", `changes { extended { sequence: 4 } }`},
		{"dead from nowhere", `changes { dead_lettered { sequence: 9 action: JOURNAL_ACTION_RETRY } }`},
		{"dead while blocked", `changes { dead_lettered { sequence: 3 action: JOURNAL_ACTION_RETRY } }`},
		{"dead by an ack", `changes { dead_lettered { sequence: 1 action: JOURNAL_ACTION_ACK } }`},
		{"filed while leased", `changes { filed { sequences: 1 } }`},
		{"redriven while leased", `changes { redriven { sequences: 1 deliveries: 1 keys: 1 } }`},
		{"redriven without deliveries", `changes { redriven { sequences: 9 keys: 1 } }`},
		{"redriven without a key", `changes { redriven { sequences: 9 deliveries: 1 } }`},
		{"redriven where there is no event", `changes { redriven { sequences: 0 deliveries: 1 keys: 1 } }`},
		{"sought to where it was", `changes { sought { generation: 0 position: 1 } }`},
		{"restored twice", `changes { restored { events { sequence: 1 state: JOURNAL_EVENT_STATE_DYING } } }`},
		{"restored in no state", `changes { restored { events { sequence: 9 } } }`},
		{"restored in a strange state", `changes { restored { events { sequence: 9 state: 99 } } }`},
		{"restored beside another", `changes { restored { events { sequence: 9 state: JOURNAL_EVENT_STATE_LEASED key: 1 } } }`},
		{"restored behind none", `changes { restored { events { sequence: 9 state: JOURNAL_EVENT_STATE_BLOCKED key: 9 } } }`},
		{"two outcomes", `changes { restored { outcomes { sequence: 9 } outcomes { sequence: 9 } } }`},
	} {
		entry := &storagev1.JournalEntry{}
		if err := prototext.Unmarshal([]byte(leasedTwo+c.changes+` format: 1`), entry); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		sound := &storagev1.JournalEntry{Format: format, Changes: entry.GetChanges()[:4]}
		if err := New(tidingsv1.Ordering_ORDERING_KEY, testPolicy, 1).ApplyEntry(sound); err != nil {
			t.Fatalf("%s: the beginning: %v", c.name, err)
		}
		if err := New(tidingsv1.Ordering_ORDERING_KEY, testPolicy, 1).ApplyEntry(entry); !errors.Is(err, ErrJournal) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	for _, entry := range []*storagev1.JournalEntry{nil, {}, {Format: 2}} {
		if err := New(tidingsv1.Ordering_ORDERING_KEY, testPolicy, 1).ApplyEntry(entry); !errors.Is(err, ErrJournal) {
			t.Errorf("format %d: %v", entry.GetFormat(), err)
		}
	}
	blocked := &storagev1.JournalChange{Change: &storagev1.JournalChange_Blocked{Blocked: &storagev1.JournalBlocked{}}}
	if err := New(tidingsv1.Ordering_ORDERING_TOTAL, testPolicy, 1).Apply(blocked); !errors.Is(err, ErrJournal) {
		t.Errorf("blocked in total order: %v", err)
	}
	keyed := &storagev1.JournalChange{Change: &storagev1.JournalChange_Delivered{Delivered: &storagev1.JournalDelivered{
		Sequences: []int64{1}, Keys: []uint64{1},
	}}}
	if err := New(tidingsv1.Ordering_ORDERING_NONE, testPolicy, 1).Apply(keyed); !errors.Is(err, ErrJournal) {
		t.Errorf("keys without order: %v", err)
	}
}

// FuzzApplyEntry takes any bytes for an entry, after a sound one. What is
// accepted gives a machine that is sound and goes on working.
func FuzzApplyEntry(f *testing.F) {
	m := New(tidingsv1.Ordering_ORDERING_KEY, testPolicy, 1)
	refs := admitAll(f, m, 1, 1, 2, 3)
	refs = append(refs, admitAll(f, m, 2, 4)...)
	refs = append(refs, admitAll(f, m, 0, 5, 6)...)
	m.Settle(Settlement{Ref: refs[0], Action: Bury, Reason: "bad"}, testNow)
	m.Settle(Settlement{Ref: refs[1], Action: Retry}, testNow)
	m.Settle(Settlement{Ref: refs[2], Action: Drop}, testNow)
	for _, entry := range append(Entries(m.Changes(), 1000), m.Snapshot(1000)...) {
		data, err := proto.Marshal(entry)
		if err != nil {
			f.Fatal(err)
		}
		for _, ordering := range []tidingsv1.Ordering{1, 2, 3} {
			f.Add(int32(ordering), data, data)
		}
	}
	f.Add(int32(2), []byte(nil), []byte{8, 1, 18, 0})
	f.Fuzz(func(t *testing.T, ordering int32, first, second []byte) {
		m := New(tidingsv1.Ordering(ordering), testPolicy, 1)
		for _, data := range [][]byte{first, second} {
			entry := &storagev1.JournalEntry{}
			if proto.Unmarshal(data, entry) != nil {
				return
			}
			if err := m.ApplyEntry(entry); err != nil {
				if !errors.Is(err, ErrJournal) {
					t.Fatal(err)
				}
				return
			}
		}
		if err := checkMachine(m); err != nil {
			t.Fatal(err)
		}
		useAll(m)
		if err := checkMachine(m); err != nil {
			t.Fatal(err)
		}
	})
}

// useAll does a bit of everything.
func useAll(m *Machine) {
	for sequence, e := range m.entries {
		ref := Ref{Generation: m.generation, Sequence: sequence, Delivery: e.deliveries}
		m.Hold(ref, 3, testNow)
		m.Extend(ref, 1, testNow)
		m.Settle(Settlement{Ref: ref, Action: Retry}, testNow)
		m.Remove(sequence)
	}
	m.Expire(math.MaxInt64, math.MaxInt, func(Credit) {})
	for {
		sequence, ok := m.Next(math.MaxInt64)
		if !ok {
			break
		}
		m.Remove(sequence)
	}
	m.Filed(m.Redriven()...)
	m.Statistics()
	m.NextDue(0)
	m.Snapshot(100)
	m.SeekTo(5, nil, "")
}
