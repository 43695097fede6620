package lease

import (
	"cmp"
	"fmt"
	"slices"

	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// Snapshot returns the state as journal entries of at most about chunkBytes
// each, which are to be stored together. It holds what Changes hasn't returned
// yet, which Changes therefore won't return any more.
func (m *Machine) Snapshot(chunkBytes int) []*storagev1.JournalEntry {
	m.journal = journal{}
	perChange := max(1, min(maxMerged, chunkBytes/overhead))
	changes := []*storagev1.JournalChange{{Change: &storagev1.JournalChange_Reset_{Reset_: &storagev1.JournalReset{
		Generation: m.generation,
		Position:   m.position,
		UsedAt:     m.usedAt,
		LatestGap:  m.latestGap,
		NotBefore:  m.notBefore,
		Started:    m.started,
		Sought:     m.sought,
	}}}}
	var part *storagev1.JournalRestored
	size := 0
	next := func(added int) {
		if part == nil || size+added > chunkBytes || len(part.GetEvents())+len(part.GetOutcomes()) == perChange {
			part, size = &storagev1.JournalRestored{}, 0
			changes = append(changes, &storagev1.JournalChange{
				Change: &storagev1.JournalChange_Restored{Restored: part},
			})
		}
		size += added
	}
	for _, e := range m.inOrder() {
		next(overhead + len(e.reason))
		part.Events = append(part.Events, eventOf(e))
	}
	for _, run := range m.outcomes.all() {
		for _, o := range run {
			next(overhead)
			part.Outcomes = append(part.Outcomes, &storagev1.JournalOutcome{
				Sequence: o.sequence, Delivery: o.delivery, Action: o.action,
			})
		}
	}
	return Entries(changes, chunkBytes)
}

// inOrder returns the entries as they can be restored one by one: what is
// blocked after what blocks it, and what is to be filed in the order in which
// it is.
func (m *Machine) inOrder() []*entry {
	entries := make([]*entry, 0, len(m.entries))
	for _, e := range m.entries {
		if e.state != dying && e.state != done {
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.state, b.state), cmp.Compare(a.sequence, b.sequence))
	})
	return append(entries, m.filing...)
}

func eventOf(e *entry) *storagev1.JournalEvent {
	return &storagev1.JournalEvent{
		Sequence:     e.sequence,
		State:        e.state,
		Deliveries:   e.deliveries,
		Attempts:     e.attempts,
		Key:          e.key,
		Due:          e.due,
		FirstAttempt: e.firstAttempt,
		Reason:       e.reason,
		LastAction:   e.lastAction,
		Redriven:     e.redriven,
		Cause:        e.cause,
	}
}

func (m *Machine) reset(reset *storagev1.JournalReset) {
	m.clear()
	m.generation = reset.GetGeneration()
	m.position = reset.GetPosition()
	m.usedAt = reset.GetUsedAt()
	m.latestGap = reset.GetLatestGap()
	m.notBefore = reset.GetNotBefore()
	m.started = reset.GetStarted()
	m.sought = reset.GetSought()
}

func (m *Machine) applyRestored(restored *storagev1.JournalRestored) error {
	for _, event := range restored.GetEvents() {
		if err := m.restore(event); err != nil {
			return err
		}
	}
	for _, o := range restored.GetOutcomes() {
		if _, known := m.outcomes.find(o.GetSequence()); known {
			return fmt.Errorf("%w: event %d has two outcomes", ErrJournal, o.GetSequence())
		}
		m.outcomes.append(outcome{sequence: o.GetSequence(), delivery: o.GetDelivery(), action: o.GetAction()})
	}
	return nil
}

func (m *Machine) restore(event *storagev1.JournalEvent) error {
	sequence := event.GetSequence()
	if err := m.checkAbsent(sequence); err != nil {
		return err
	}
	chain := m.chainOf(event.GetKey())
	switch state := event.GetState(); state {
	case leased, waiting:
		if m.chains.taken(chain) {
			return fmt.Errorf("%w: event %d isn't the only one of its key", ErrJournal, sequence)
		}
		m.chains.take(chain)
	case blocked:
		if !m.chains.taken(chain) {
			return fmt.Errorf("%w: event %d is blocked by none", ErrJournal, sequence)
		}
		m.chains.block(chain, sequence)
	case dying, done:
	default:
		return fmt.Errorf("%w: event %d is in state %d", ErrJournal, sequence, state)
	}
	e := m.fresh()
	*e = entry{
		sequence:     sequence,
		state:        event.GetState(),
		deliveries:   event.GetDeliveries(),
		attempts:     event.GetAttempts(),
		key:          m.keyOf(event.GetKey()),
		due:          event.GetDue(),
		firstAttempt: event.GetFirstAttempt(),
		reason:       event.GetReason(),
		lastAction:   event.GetLastAction(),
		redriven:     event.GetRedriven(),
		cause:        event.GetCause(),
	}
	m.add(e)
	return nil
}
