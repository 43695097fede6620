package lease

import (
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// The states of a tracked event, in short.
const (
	leased  = storagev1.JournalEventState_JOURNAL_EVENT_STATE_LEASED
	waiting = storagev1.JournalEventState_JOURNAL_EVENT_STATE_WAITING
	blocked = storagev1.JournalEventState_JOURNAL_EVENT_STATE_BLOCKED
	dying   = storagev1.JournalEventState_JOURNAL_EVENT_STATE_DYING
	done    = storagev1.JournalEventState_JOURNAL_EVENT_STATE_DONE

	states = int(done) + 1
)

// maxFree bounds the entries that are kept for reuse.
const maxFree = 4096

// entry is a tracked event. See JournalEvent for what isn't explained.
type entry struct {
	sequence     int64
	key          uint64
	due          int64
	firstAttempt int64
	reason       string
	deliveries   uint32
	attempts     uint32

	// holder is whose window the event counts in, and size with how many bytes.
	// They aren't in the journal. 0: nobody's, or not known.
	holder uint64
	size   int32

	// index is the place in leases or waits or, where ready is set, in ready.
	index int32
	ready bool

	redriven   bool
	state      storagev1.JournalEventState
	lastAction storagev1.JournalAction
	cause      tidingsv1.DeadLetterCause
}

// add takes an entry into the state that it says it is in.
func (m *Machine) add(e *entry) {
	m.entries[e.sequence] = e
	m.enter(e)
}

// move brings an entry into another state. The caller has set e.due.
func (m *Machine) move(e *entry, state storagev1.JournalEventState) {
	m.leave(e)
	e.state = state
	m.enter(e)
}

// remove forgets an entry, which must not be used after it.
func (m *Machine) remove(e *entry) {
	m.leave(e)
	delete(m.entries, e.sequence)
	if len(m.free) < maxFree {
		*e = entry{}
		m.free = append(m.free, e)
	}
}

// fresh returns an empty entry.
func (m *Machine) fresh() *entry {
	last := len(m.free) - 1
	if last < 0 {
		return &entry{}
	}
	e := m.free[last]
	m.free = m.free[:last]
	return e
}

func (m *Machine) enter(e *entry) {
	m.counts[e.state]++
	switch e.state {
	case leased:
		m.leases.push(e, e.due)
	case waiting:
		e.ready = false
		m.waits.push(e, e.due)
	case dying, done:
		m.filing = append(m.filing, e)
	default:
	}
}

// leave takes an entry out of its state. That it isn't filing any more is up to
// the caller, who knows how many more there are.
func (m *Machine) leave(e *entry) {
	m.counts[e.state]--
	switch {
	case e.state == leased:
		m.leases.remove(int(e.index))
	case e.state == waiting && e.ready:
		m.ready.remove(int(e.index))
	case e.state == waiting:
		m.waits.remove(int(e.index))
	default:
	}
}
