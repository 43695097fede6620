package lease

import (
	"fmt"
	"testing"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// BenchmarkDeliverAndSettle admits, leases and acks events while others are
// leased, in turns of a hundred, with the changes for the journal.
func BenchmarkDeliverAndSettle(b *testing.B) {
	for _, ordering := range []tidingsv1.Ordering{tidingsv1.Ordering_ORDERING_NONE, tidingsv1.Ordering_ORDERING_KEY} {
		for _, beside := range []int64{1000, MaxTracked - 100} {
			b.Run(fmt.Sprintf("%v/%d", ordering, beside), func(b *testing.B) {
				const turn = 100
				m := New(ordering, testPolicy, 1)
				oldest := m.Position()
				for range beside {
					mustDeliver(b, m, m.Position(), uint64(m.Position()), testNow)
				}
				m.Changes()
				b.ReportAllocs()
				b.ResetTimer()
				for n := range b.N {
					sequence, now := m.Position(), testNow+int64(n/100_000)
					if m.Admit(sequence, uint64(sequence)) != Now {
						b.Fatal("an event can't be delivered")
					}
					if _, ok := m.Deliver(sequence, uint64(sequence), 7, 100, now); !ok {
						b.Fatal("an event was not delivered")
					}
					if n%turn < turn-1 {
						continue
					}
					for range turn {
						ref := Ref{Sequence: oldest, Delivery: 1}
						if status, _ := m.Settle(Settlement{Ref: ref, Action: Ack}, now); status != applied {
							b.Fatal(status)
						}
						oldest++
					}
					m.Changes()
				}
			})
		}
	}
}
