package lease

import storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"

// maxOutcomes is how many outcomes are remembered.
const maxOutcomes = 50_000

// outcomes remembers how events were settled, the last ones that weren't by the
// ack of their first delivery.
type outcomes struct {
	// ring holds them in the order in which they came; once it is full, the
	// oldest is at next.
	ring  []outcome
	next  int
	index map[int64]int
}

// outcome is how an event was settled.
type outcome struct {
	sequence int64
	delivery uint32
	action   storagev1.JournalAction
}

func newOutcomes() outcomes {
	return outcomes{index: map[int64]int{}}
}

// remember remembers an outcome unless it is the usual one. An event that is
// settled once more, because its dead letter was redriven, keeps its place.
func (o *outcomes) remember(settled outcome) {
	if at, known := o.index[settled.sequence]; known {
		o.ring[at] = settled
		return
	}
	if settled.delivery == 1 && settled.action == Ack {
		return
	}
	o.append(settled)
}

// append remembers an outcome of an event of which there is none.
func (o *outcomes) append(settled outcome) {
	if len(o.ring) < maxOutcomes {
		o.index[settled.sequence] = len(o.ring)
		o.ring = append(o.ring, settled)
		return
	}
	delete(o.index, o.ring[o.next].sequence)
	o.ring[o.next] = settled
	o.index[settled.sequence] = o.next
	o.next = (o.next + 1) % maxOutcomes
}

// find returns the outcome of an event, if it is remembered.
func (o *outcomes) find(sequence int64) (outcome, bool) {
	at, known := o.index[sequence]
	if !known {
		return outcome{}, false
	}
	return o.ring[at], true
}

// all returns the outcomes, the oldest first, in two runs.
func (o *outcomes) all() [2][]outcome {
	return [2][]outcome{o.ring[o.next:], o.ring[:o.next]}
}
