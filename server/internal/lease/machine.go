// Package lease decides which event of a subscription may be delivered, to
// whom it is leased, and what a settlement does to it. A Machine is the whole
// state of one subscription, without input, output, clock or goroutine: the
// same calls give the same results. What it decides it tells in changes for
// the journal of the subscription, and folding these gives the state again.
//
// Times are milliseconds since 1970. A Machine is for one goroutine.
package lease

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// MaxTracked is how many events may be tracked at once.
const MaxTracked = 50_000

// usedEvery is how often a use is worth a change of the journal.
const usedEvery = 60_000

// Machine is the state of a subscription: the position, which is the sequence
// of the next event of the topic to look at, and the tracked events. An event is
// tracked from when it is delivered, blocked or redriven until it is settled; as a
// dead letter, until it is filed. What is below the position and not tracked is
// settled or was left out.
type Machine struct {
	ordering tidingsv1.Ordering
	policy   Policy

	generation uint64
	position   int64
	started    int64
	notBefore  *timestamppb.Timestamp
	usedAt     int64
	latestGap  *tidingsv1.Gap
	sought     *storagev1.JournalSought // The last seek. nil: there was none.

	// entries are the tracked events, by sequence.
	entries map[int64]*entry
	counts  [states]int
	// leases holds what is leased, by deadline.
	leases queue
	// waits holds what waits, by when it is due, unless it is in ready.
	waits queue
	// ready holds what waits and was found due, by sequence.
	ready queue
	// filing are the entries that die or are done, in the order in which they
	// came to it.
	filing   []*entry
	chains   chains
	outcomes outcomes

	free    []*entry
	journal journal
}

// New returns the state of a subscription that has delivered nothing. start is
// the sequence of the first event to look at. The ordering never changes.
func New(ordering tidingsv1.Ordering, policy Policy, start int64) *Machine {
	m := &Machine{ordering: ordering, policy: policy, position: max(1, start), started: max(1, start)}
	m.clear()
	return m
}

// clear forgets all that is tracked or was settled.
func (m *Machine) clear() {
	m.entries = map[int64]*entry{}
	m.counts = [states]int{}
	m.leases, m.waits, m.ready = nil, nil, nil
	m.filing = nil
	m.chains = newChains()
	m.outcomes = newOutcomes()
}

// SetPolicy changes the policy for what happens from now on.
func (m *Machine) SetPolicy(policy Policy) {
	m.policy = policy
}

// Position returns the sequence of the next event of the topic to look at.
func (m *Machine) Position() int64 {
	return m.position
}

// Started returns where the subscription began, or was last moved to: as long as
// it is the position, nothing tells that there is an event before it.
func (m *Machine) Started() int64 {
	return m.started
}

// NotBefore returns the time before which the events of the topic that were
// stored are left out, or nil.
func (m *Machine) NotBefore() *timestamppb.Timestamp {
	return m.notBefore
}

// StartAt sets what NotBefore returns until the first seek. It is for a machine
// that has delivered nothing.
func (m *Machine) StartAt(notBefore *timestamppb.Timestamp) {
	m.notBefore = notBefore
}

// Generation returns the number of seeks.
func (m *Machine) Generation() uint64 {
	return m.generation
}

// Len returns how many events are tracked.
func (m *Machine) Len() int {
	return len(m.entries)
}

// Leased is how many deliveries consumers hold.
func (m *Machine) Leased() int { return m.counts[leased] }

// Room returns how many more events may be tracked.
func (m *Machine) Room() int {
	return max(0, MaxTracked-len(m.entries))
}

// Used tells that a consumer used the subscription. Within a minute of the last
// time it changes nothing.
func (m *Machine) Used(now int64) {
	if now-m.usedAt < usedEvery {
		return
	}
	m.usedAt = now
	m.journal.used(now)
}

// UsedAt returns when a consumer last used the subscription, within a minute.
// 0: none did.
func (m *Machine) UsedAt() int64 {
	return m.usedAt
}

// Owned puts into the journal that a server writes it from here on.
func (m *Machine) Owned(server string) {
	m.journal.owned(server)
}

// SeekTo moves the subscription to a position and sets what NotBefore returns.
// Nothing is leased after it, and no Ref from before it settles anything; what
// dies or is done still has to be filed. It returns what Unsettled returned
// before. Where the last seek had the same id, which isn't empty, it changes
// nothing and returns what that one did.
func (m *Machine) SeekTo(position int64, notBefore *timestamppb.Timestamp, id string) (previous int64) {
	if id != "" && m.sought.GetId() == id {
		return m.sought.GetPrevious()
	}
	sought := &storagev1.JournalSought{
		Generation: m.generation + 1, Position: max(1, position), NotBefore: notBefore, Id: id, Previous: m.Unsettled(),
	}
	m.journal.sought(sought, m.position)
	m.seek(sought)
	return sought.GetPrevious()
}

// Unsettled returns the sequence of the oldest event of the topic that isn't
// settled: what is redriven was settled once. Where there is none, it is the
// position.
func (m *Machine) Unsettled() int64 {
	oldest := m.position
	for sequence, e := range m.entries {
		if sequence < oldest && !e.redriven && e.state != dying {
			oldest = sequence
		}
	}
	return oldest
}

// IsTracked reports whether an event is tracked.
func (m *Machine) IsTracked(sequence int64) bool {
	return m.entries[sequence] != nil
}

// IsRedriven reports whether a tracked event is in the dead letters, and in
// the topic perhaps no more.
func (m *Machine) IsRedriven(sequence int64) bool {
	e := m.entries[sequence]
	return e != nil && e.redriven
}
