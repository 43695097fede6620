package lease

import (
	"testing"

	"google.golang.org/protobuf/proto"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// The events from 6 on are lost, and others come in their place.
func TestRewind(t *testing.T) {
	for _, ordering := range []tidingsv1.Ordering{tidingsv1.Ordering_ORDERING_NONE, tidingsv1.Ordering_ORDERING_KEY} {
		t.Run(ordering.String(), func(t *testing.T) {
			m := New(ordering, testPolicy, 1)
			refs := map[int64]Ref{}
			for sequence := int64(1); sequence <= 9; sequence++ {
				key := uint64(sequence)
				if sequence == 5 || sequence == 8 {
					key = 4 // Behind 4, where the order is by key.
				}
				if m.Admit(sequence, key) != Now {
					continue
				}
				delivery, ok := m.Deliver(sequence, key, 1, 10, testNow)
				if !ok {
					t.Fatalf("event %d isn't delivered", sequence)
				}
				refs[sequence] = Ref{Generation: m.Generation(), Sequence: sequence, Delivery: delivery.Number}
			}
			settle := func(sequence int64, action Settlement) {
				action.Ref = refs[sequence]
				if status, _ := m.Settle(action, testNow); status != applied {
					t.Fatalf("settling %d: %v", sequence, status)
				}
			}
			settle(1, Settlement{Action: Ack})
			settle(2, Settlement{Action: Bury})
			settle(6, Settlement{Action: Ack})
			settle(7, Settlement{Action: Bury})

			gap := &tidingsv1.Gap{FirstSequence: 6, NextSequence: m.Position()}
			m.Rewind(6, gap, testNow)
			again := New(ordering, testPolicy, 1)
			for _, entry := range m.Snapshot(1 << 20) {
				if err := again.ApplyEntry(entry); err != nil {
					t.Fatal(err)
				}
			}
			for _, m := range []*Machine{m, again} {
				if m.Position() != 6 || m.Started() != 6 || !proto.Equal(m.latestGap, gap) {
					t.Errorf("position %d, started %d, gap %v; want 6, 6, %v", m.Position(), m.Started(), m.latestGap, gap)
				}
				for sequence, ref := range refs {
					if status, _ := m.Settle(Settlement{Ref: ref, Action: Ack}, testNow); status != tidingsv1.SettlementStatus_SETTLEMENT_STATUS_LEASE_LOST {
						t.Errorf("a delivery of event %d from before settles with %v", sequence, status)
					}
				}
				var dying []int64
				for letter := range m.Dying() {
					dying = append(dying, letter.Sequence)
				}
				if len(dying) != 1 || dying[0] != 2 {
					t.Errorf("%v become dead letters, want 2", dying)
				}
				var delivered []int64
				for {
					sequence, ok := m.Next(testNow)
					if !ok {
						break
					}
					delivery, ok := m.Deliver(sequence, 0, 1, 10, testNow)
					if !ok {
						t.Fatalf("event %d isn't delivered again", sequence)
					}
					delivered = append(delivered, sequence)
					m.Settle(Settlement{Ref: Ref{Generation: m.Generation(), Sequence: sequence, Delivery: delivery.Number}, Action: Ack}, testNow)
				}
				if len(delivered) != 3 || delivered[0] != 3 || delivered[1] != 4 || delivered[2] != 5 {
					t.Errorf("%v are delivered again, want 3, 4, 5", delivered)
				}
				if m.Admit(6, 6) != Now {
					t.Error("the new event 6 isn't delivered")
				}
			}
		})
	}
}
