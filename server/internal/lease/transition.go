package lease

import (
	"slices"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// The transitions below are all that changes what is tracked, both when
// something happens and when the journal of it is read. So both give the same
// state, and a transition depends on nothing that the journal doesn't hold.

// farDeliveries is where the deliveries of an event are counted from whose dead
// letter is of an earlier generation. The event itself may have been delivered
// anew since the seek, or may still be, counted from 0: no delivery of the one
// is ever taken for one of the other.
const farDeliveries = 1 << 31

// pass moves the position behind an event.
func (m *Machine) pass(sequence int64) {
	m.position = max(m.position, sequence+1)
}

// arrive returns the entry of a new event that is leased next.
func (m *Machine) arrive(sequence int64, key uint64) *entry {
	e := m.fresh()
	e.sequence, e.key = sequence, m.keyOf(key)
	m.chains.take(m.chainOf(key))
	m.pass(sequence)
	return e
}

// lease leases an event that has arrived, or waits.
func (m *Machine) lease(e *entry, at, deadline int64) {
	if e.attempts == 0 {
		e.firstAttempt = at
	}
	e.deliveries++
	e.attempts++
	e.lastAction = storagev1.JournalAction_JOURNAL_ACTION_UNSPECIFIED
	e.due = deadline
	if e.state == waiting {
		m.move(e, leased)
		return
	}
	e.state = leased
	m.add(e)
}

// block adds a new event behind the current one of its key.
func (m *Machine) block(sequence int64, key uint64) {
	e := m.fresh()
	e.sequence, e.key, e.state = sequence, key, blocked
	m.chains.block(m.chainOf(key), sequence)
	m.pass(sequence)
	m.add(e)
}

// settle settles an event.
func (m *Machine) settle(e *entry, action storagev1.JournalAction) {
	m.unchain(e)
	if action == removed {
		// A consumer may still repeat how it ended the last delivery.
		action = e.lastAction
	}
	m.conclude(e, action)
	if !e.redriven {
		m.remove(e)
		return
	}
	e.lastAction = action
	e.holder, e.size = 0, 0
	m.move(e, done)
}

// postpone ends a delivery of an event that is to be delivered again.
func (m *Machine) postpone(e *entry, action storagev1.JournalAction, due int64, reason string) {
	switch action {
	case Retry:
		e.reason = reason
	case Release:
		// The next delivery is the same attempt again, reason and all.
		if e.attempts > 0 {
			e.attempts--
		}
		if e.attempts == 0 {
			e.firstAttempt = 0
		}
		if reason != "" {
			e.reason = reason
		}
	default:
	}
	e.lastAction = action
	e.holder, e.size = 0, 0
	e.due = due
	m.move(e, waiting)
}

// extend moves the deadline of a lease.
func (m *Machine) extend(e *entry, deadline int64) {
	e.due = deadline
	m.leases.rerank(int(e.index), deadline)
}

// bury settles an event by making it a dead letter.
func (m *Machine) bury(e *entry, action storagev1.JournalAction, cause tidingsv1.DeadLetterCause, reason string, at int64) {
	m.unchain(e)
	m.conclude(e, action)
	if action != expired {
		e.reason = reason
	}
	e.lastAction = action
	e.cause = cause
	e.holder, e.size = 0, 0
	e.due = at
	m.move(e, dying)
}

// redrive adds a dead letter that is to be delivered again.
func (m *Machine) redrive(sequence int64, deliveries uint32, key uint64) {
	e := m.fresh()
	e.sequence, e.key, e.deliveries, e.redriven = sequence, m.keyOf(key), deliveries, true
	e.state = waiting
	chain := m.chainOf(key)
	if m.chains.taken(chain) {
		e.state = blocked
		m.chains.block(chain, sequence)
	} else {
		m.chains.take(chain)
	}
	m.add(e)
}

// file forgets an event that died or is done, and reports whether there is one.
// The caller calls sweep after the last.
func (m *Machine) file(sequence int64) bool {
	e := m.entries[sequence]
	if e == nil || e.state != dying && e.state != done {
		return false
	}
	m.leave(e)
	delete(m.entries, sequence)
	e.state = storagev1.JournalEventState_JOURNAL_EVENT_STATE_UNSPECIFIED
	return true
}

// sweep takes what was filed from the list of what has to be.
func (m *Machine) sweep() {
	m.filing = slices.DeleteFunc(m.filing, func(e *entry) bool {
		return e.state == storagev1.JournalEventState_JOURNAL_EVENT_STATE_UNSPECIFIED
	})
}

// seek moves the position and forgets what is tracked, except for what has to
// be filed.
func (m *Machine) seek(sought *storagev1.JournalSought) {
	filing := m.filing
	m.clear()
	m.generation, m.position, m.notBefore = sought.GetGeneration(), sought.GetPosition(), sought.GetNotBefore()
	m.started, m.sought = m.position, sought
	for _, e := range filing {
		e.deliveries = max(e.deliveries, farDeliveries)
		m.add(e)
	}
}

// unchain ends the turn of an event in its chain. The next one may be delivered
// at once: what is blocked is due at no time.
func (m *Machine) unchain(e *entry) {
	chain := m.chainOf(e.key)
	if e.state == blocked {
		m.chains.unblock(chain, e.sequence)
		return
	}
	if sequence, ok := m.chains.leave(chain); ok {
		m.move(m.entries[sequence], waiting)
	}
}

// conclude remembers how the last delivery of an event ended.
func (m *Machine) conclude(e *entry, action storagev1.JournalAction) {
	if action == storagev1.JournalAction_JOURNAL_ACTION_UNSPECIFIED {
		return // It wasn't delivered.
	}
	m.outcomes.remember(outcome{sequence: e.sequence, delivery: e.deliveries, action: action})
}
