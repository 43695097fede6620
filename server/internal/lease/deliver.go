package lease

import tidingsv1 "example.com/tidings/gen/go/tidings/v1"

// Admission is what becomes of a new event.
type Admission int

const (
	// Later: nothing changed. There is no room; or an event has to be settled
	// first, because the order is total; or the dead letter of this event has
	// to be filed first, from before a seek.
	Later Admission = iota
	// Now: nothing changed; Deliver delivers it.
	Now
	// Passed: the position moved behind it. It waits for an earlier event of
	// its key, or was tracked already because its dead letter was redriven.
	Passed
)

// Delivery is a delivery of an event.
type Delivery struct {
	// Number tells it from other deliveries of the event. Never 0.
	Number uint32
	// Attempt counts, from 1, the deliveries that weren't released.
	Attempt uint32
	// Deadline is when the lease ends.
	Deadline int64
	// Reason is that of the last nack.
	Reason string
	// Redriven says that the event is in the dead letters, and in the topic
	// perhaps no more.
	Redriven bool
}

// CanAdmit reports whether Admit may give anything but Later: there is room,
// and nothing is unsettled where the order is total.
func (m *Machine) CanAdmit() bool {
	if m.ordering == tidingsv1.Ordering_ORDERING_TOTAL && m.chains.taken(m.chainOf(0)) {
		return false
	}
	return len(m.entries) < MaxTracked
}

// Admit says what becomes of an event of the topic that is at the position or
// after it, the first there that the filter didn't leave out. key is the hash of
// its partition key, 0 where it has none.
func (m *Machine) Admit(sequence int64, key uint64) Admission {
	if sequence < m.position || !m.CanAdmit() {
		return Later
	}
	if e := m.entries[sequence]; e != nil {
		if e.state == dying || e.state == done {
			return Later
		}
		m.pass(sequence)
		m.journal.advanced(nil)
		return Passed
	}
	if m.chains.taken(m.chainOf(key)) {
		m.block(sequence, key)
		m.journal.blocked(sequence, key)
		return Passed
	}
	return Now
}

// Skip moves the position past events that the filter left out or that
// retention removed. With a gap it may be the position as it is: the gap of
// tracked events that were removed.
func (m *Machine) Skip(position int64, gap *tidingsv1.Gap) {
	if position < m.position || position == m.position && gap == nil {
		return
	}
	m.position = position
	if gap != nil {
		m.latestGap = gap
	}
	m.journal.advanced(gap)
}

// Next returns the event that is to be delivered again before any other: the
// lowest of the tracked ones whose time has come and whose turn it is. It
// stays so until Deliver.
func (m *Machine) Next(now int64) (sequence int64, ok bool) {
	m.ripen(now)
	if len(m.ready) == 0 {
		return 0, false
	}
	return m.ready[0].sequence, true
}

// NextDue returns the time from which Expire has something to do or Next has
// more than now. It is after now unless Expire has something to do already.
func (m *Machine) NextDue(now int64) (at int64, ok bool) {
	m.ripen(now)
	switch {
	case len(m.leases) == 0 && len(m.waits) == 0:
		return 0, false
	case len(m.leases) == 0:
		return m.waits[0].rank, true
	case len(m.waits) == 0:
		return m.leases[0].rank, true
	default:
		return min(m.leases[0].rank, m.waits[0].rank), true
	}
}

// ripen brings what waits for nothing but a consumer from waits to ready.
func (m *Machine) ripen(now int64) {
	for len(m.waits) > 0 && m.waits[0].rank <= now {
		e := m.waits[0].entry
		m.waits.remove(0)
		e.ready = true
		m.ready.push(e, e.sequence)
	}
}

// Deliver leases an event to a holder: one for which Next or Admit just said so.
// key is the hash of its partition key, which counts for a new event only. size
// is what it takes of the holder's window. ok is false, and nothing changed,
// where the event can't be delivered now.
func (m *Machine) Deliver(sequence int64, key, holder uint64, size int32, now int64) (delivery Delivery, ok bool) {
	e := m.entries[sequence]
	switch {
	case e != nil && e.state != waiting:
		return Delivery{}, false
	case e == nil && (sequence < m.position || !m.CanAdmit() || m.chains.taken(m.chainOf(key))):
		return Delivery{}, false
	case e == nil:
		e = m.arrive(sequence, key)
		m.journal.passed()
	}
	deadline := now + milliseconds(m.policy.AckDeadline)
	m.lease(e, now, deadline)
	e.holder, e.size = holder, size
	m.journal.delivered(sequence, e.key, now, deadline, m.ordering)
	return Delivery{
		Number:   e.deliveries,
		Attempt:  e.attempts,
		Deadline: deadline,
		Reason:   e.reason,
		Redriven: e.redriven,
	}, true
}
