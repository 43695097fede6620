package lease

import (
	"iter"
	"slices"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// DeadLetter is an event that becomes a dead letter.
type DeadLetter struct {
	// Sequence is that of the event.
	Sequence int64
	// Cause is why.
	Cause tidingsv1.DeadLetterCause
	// Attempts are those that it had.
	Attempts uint32
	// Deliveries is the number to give to Redrive, together with Generation.
	Deliveries uint32
	// Reason is that of the last nack.
	Reason string
	// FirstAttempt is when the first attempt was made.
	FirstAttempt int64
	// At is when it became a dead letter.
	At int64
	// Redriven says that the event is that of a stored dead letter, which this
	// one replaces. The topic may hold it no more.
	Redriven bool
}

// Dying returns the events that have to be stored as dead letters, in the order
// in which they became them, until Filed says that they are. The machine must
// not change meanwhile.
func (m *Machine) Dying() iter.Seq[DeadLetter] {
	return func(yield func(DeadLetter) bool) {
		if m.counts[dying] == 0 {
			return
		}
		for _, e := range m.filing {
			if e.state == dying && !yield(deadLetterOf(e)) {
				return
			}
		}
	}
}

func deadLetterOf(e *entry) DeadLetter {
	return DeadLetter{
		Sequence:     e.sequence,
		Cause:        e.cause,
		Attempts:     e.attempts,
		Deliveries:   e.deliveries,
		Reason:       e.reason,
		FirstAttempt: e.firstAttempt,
		At:           e.due,
		Redriven:     e.redriven,
	}
}

// Done returns the events whose dead letters have to be deleted, because they
// were redriven and are settled, until Filed says that they are. The machine
// must not change meanwhile.
func (m *Machine) Done() iter.Seq[int64] {
	return func(yield func(int64) bool) {
		if m.counts[done] == 0 {
			return
		}
		for _, e := range m.filing {
			if e.state == done && !yield(e.sequence) {
				return
			}
		}
	}
}

// Filed tells that dead letters that Dying or Done returned are stored or
// deleted. Others are left out.
func (m *Machine) Filed(sequences ...int64) {
	for _, sequence := range sequences {
		if m.file(sequence) {
			m.journal.filed(sequence)
		}
	}
	m.sweep()
}

// Redrive delivers a dead letter again: generation and deliveries are those
// with which it was stored, key is the hash of its partition key. It reports
// false, and nothing changed, where the event is tracked already or there is
// no room.
func (m *Machine) Redrive(sequence int64, generation uint64, deliveries uint32, key uint64) bool {
	if sequence < 1 || m.entries[sequence] != nil || len(m.entries) >= MaxTracked {
		return false
	}
	if generation != m.generation {
		deliveries = farDeliveries
	}
	m.redrive(sequence, deliveries, key)
	m.journal.redriven(sequence, deliveries, key, m.ordering)
	return true
}

// Redriven returns the events that are in the dead letters but count as none,
// because they were redriven, ascending.
func (m *Machine) Redriven() []int64 {
	var sequences []int64
	for sequence, e := range m.entries {
		if e.redriven {
			sequences = append(sequences, sequence)
		}
	}
	slices.Sort(sequences)
	return sequences
}
