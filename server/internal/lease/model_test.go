package lease

import (
	"maps"
	"slices"
	"time"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// model says what a Machine has to do in the plainest way: maps that are looked
// through from end to end, and no thought for speed. It knows nothing of how
// deliveries are numbered; it is told the Ref of each and remembers what became
// of it.
type model struct {
	ordering   tidingsv1.Ordering
	policy     Policy
	generation uint64
	position   int64
	usedAt     int64
	gap        *tidingsv1.Gap
	events     map[int64]modelEvent
	// fates are how deliveries ended, by what a settlement of them names.
	fates map[Ref]storagev1.JournalAction
	// latest is the last delivery of each event in each generation.
	latest map[Ref]Ref
	// firsts is the highest event of each key that was delivered for the first
	// time in this generation.
	firsts map[uint64]int64
}

type modelEvent struct {
	sequence int64
	key      uint64
	state    storagev1.JournalEventState
	attempts uint32
	due      int64
	first    int64
	reason   string
	redriven bool
	cause    tidingsv1.DeadLetterCause
	holder   uint64
	size     int32
	// ref is the last delivery, if there was one since it is tracked.
	ref Ref
}

func newModel(ordering tidingsv1.Ordering, policy Policy, start int64) *model {
	return &model{
		ordering: ordering, policy: policy, position: start,
		events: map[int64]modelEvent{},
		fates:  map[Ref]storagev1.JournalAction{},
		latest: map[Ref]Ref{},
		firsts: map[uint64]int64{},
	}
}

func (m *model) clone() *model {
	c := *m
	c.events = maps.Clone(m.events)
	c.fates = maps.Clone(m.fates)
	c.latest = maps.Clone(m.latest)
	c.firsts = maps.Clone(m.firsts)
	return &c
}

// sorted returns the events in some states, ascending.
func (m *model) sorted(in ...storagev1.JournalEventState) []modelEvent {
	var events []modelEvent
	for _, sequence := range slices.Sorted(maps.Keys(m.events)) {
		if slices.Contains(in, m.events[sequence].state) {
			events = append(events, m.events[sequence])
		}
	}
	return events
}

// unsettled returns the oldest event that is neither settled nor redriven, or the
// position.
func (m *model) unsettled() int64 {
	for _, e := range m.sorted(leased, waiting, blocked) {
		if !e.redriven {
			return min(e.sequence, m.position)
		}
	}
	return m.position
}

// rivals returns the unsettled events that one with a key must not be delivered
// beside.
func (m *model) rivals(key uint64) []modelEvent {
	return slices.DeleteFunc(m.sorted(leased, waiting), func(e modelEvent) bool {
		return !m.together(e.key, key)
	})
}

func (m *model) together(a, b uint64) bool {
	switch m.ordering {
	case tidingsv1.Ordering_ORDERING_TOTAL:
		return true
	case tidingsv1.Ordering_ORDERING_KEY:
		return a == b && a != 0
	default:
		return false
	}
}

// promote lets those wait that are blocked by none any more.
func (m *model) promote() {
	for _, e := range m.sorted(blocked) {
		if len(m.rivals(e.key)) == 0 {
			e.state, e.due = waiting, 0
			m.events[e.sequence] = e
		}
	}
}

func (m *model) admit(sequence int64, key uint64) Admission {
	if m.ordering == tidingsv1.Ordering_ORDERING_TOTAL && len(m.sorted(leased, waiting, blocked)) > 0 {
		return Later
	}
	e, there := m.events[sequence]
	switch {
	case there && (e.state == dying || e.state == done):
		return Later
	case there:
		m.position = sequence + 1
		return Passed
	case len(m.rivals(key)) > 0:
		m.position = sequence + 1
		m.events[sequence] = modelEvent{sequence: sequence, key: key, state: blocked}
		return Passed
	default:
		return Now
	}
}

func (m *model) next(now int64) (int64, bool) {
	for _, e := range m.sorted(waiting) {
		if e.due <= now {
			return e.sequence, true
		}
	}
	return 0, false
}

// nextDue returns when a lease ends or an event that isn't due yet becomes it.
func (m *model) nextDue(now int64) (at int64, ok bool) {
	for _, e := range m.sorted(leased, waiting) {
		if e.state == waiting && e.due <= now {
			continue
		}
		if !ok || e.due < at {
			at, ok = e.due, true
		}
	}
	return at, ok
}

// deliver takes note of a delivery and returns what it has to say of the event.
func (m *model) deliver(sequence int64, key uint64, number uint32, holder uint64, size int32, now int64) (want Delivery) {
	e, there := m.events[sequence]
	if !there {
		e = modelEvent{sequence: sequence, key: key}
		m.position = sequence + 1
	}
	if e.attempts == 0 {
		e.first = now
	}
	e.attempts++
	e.state, e.due = leased, now+m.policy.AckDeadline.Milliseconds()
	e.holder, e.size = holder, size
	e.ref = Ref{Generation: m.generation, Sequence: sequence, Delivery: number}
	m.events[sequence] = e
	m.fates[e.ref] = storagev1.JournalAction_JOURNAL_ACTION_UNSPECIFIED
	m.latest[Ref{Generation: m.generation, Sequence: sequence}] = e.ref
	return Delivery{Number: number, Attempt: e.attempts, Deadline: e.due, Reason: e.reason, Redriven: e.redriven}
}

// open returns the event that is leased by a delivery.
func (m *model) open(ref Ref, now int64) (modelEvent, bool) {
	e, there := m.events[ref.Sequence]
	ok := there && e.state == leased && e.ref == ref && now < e.due && ref.Generation == m.generation
	return e, ok
}

// repeated returns how a delivery was ended that nothing came after.
func (m *model) repeated(ref Ref) storagev1.JournalAction {
	if ref.Generation != m.generation || m.latest[Ref{Generation: ref.Generation, Sequence: ref.Sequence}] != ref {
		return storagev1.JournalAction_JOURNAL_ACTION_UNSPECIFIED
	}
	return m.fates[ref]
}

func (m *model) settle(s Settlement, now int64) (tidingsv1.SettlementStatus, Credit) {
	e, ok := m.open(s.Ref, now)
	if !ok {
		if m.repeated(s.Ref) == s.Action {
			return already, Credit{}
		}
		return lost, Credit{}
	}
	credit := Credit{Holder: e.holder, Size: e.size}
	switch s.Action {
	case Ack, Drop:
		m.fates[s.Ref] = s.Action
		m.finish(e)
	case Bury:
		e.reason = s.Reason
		m.die(e, Bury, tidingsv1.DeadLetterCause_DEAD_LETTER_CAUSE_NACK, now)
	case Release:
		e.attempts--
		if e.attempts == 0 {
			e.first = 0
		}
		if s.Reason != "" {
			e.reason = s.Reason
		}
		m.wait(e, Release, now, s.Delay, 0)
	case Retry:
		e.reason = s.Reason
		if m.policy.MaxAttempts >= 0 && int(e.attempts) >= m.policy.MaxAttempts {
			m.die(e, Retry, tidingsv1.DeadLetterCause_DEAD_LETTER_CAUSE_MAX_ATTEMPTS, now)
			break
		}
		m.wait(e, Retry, now, s.Delay, m.delay(e.attempts))
	default:
		panic("not a consumer's action")
	}
	return applied, credit
}

// delay is the policy's, which in the tests multiplies by whole numbers.
func (m *model) delay(attempt uint32) time.Duration {
	delay := m.policy.MinBackoff
	for range attempt - 1 {
		delay = min(m.policy.MaxBackoff, delay*time.Duration(m.policy.Multiplier))
	}
	return min(m.policy.MaxBackoff, delay)
}

func (m *model) wait(e modelEvent, action storagev1.JournalAction, from int64, delay *time.Duration, usual time.Duration) {
	m.fates[e.ref] = action
	if delay != nil {
		usual = *delay
	}
	e.state, e.due = waiting, from+usual.Milliseconds()
	e.holder, e.size = 0, 0
	m.events[e.sequence] = e
}

// finish settles an event.
func (m *model) finish(e modelEvent) {
	delete(m.events, e.sequence)
	if e.redriven {
		e.state, e.holder, e.size = done, 0, 0
		m.events[e.sequence] = e
	}
	m.promote()
}

func (m *model) die(e modelEvent, action storagev1.JournalAction, cause tidingsv1.DeadLetterCause, now int64) {
	m.fates[e.ref] = action
	e.state, e.cause, e.due = dying, cause, now
	e.holder, e.size = 0, 0
	m.events[e.sequence] = e
	m.promote()
}

func (m *model) extend(ref Ref, d time.Duration, now int64) (status tidingsv1.SettlementStatus, deadline int64) {
	e, ok := m.open(ref, now)
	if !ok {
		return lost, 0
	}
	e.due = now + d.Milliseconds()
	m.events[e.sequence] = e
	return applied, e.due
}

func (m *model) hold(ref Ref, holder uint64, now int64) (tidingsv1.SettlementStatus, Credit) {
	e, ok := m.open(ref, now)
	if ok {
		credit := Credit{Holder: e.holder, Size: e.size}
		e.holder = holder
		m.events[e.sequence] = e
		return applied, credit
	}
	switch m.repeated(ref) {
	case Ack, Drop, Retry, Release, Bury:
		return already, Credit{}
	default:
		return lost, Credit{}
	}
}

// expire ends leases, the ones that ended earliest first.
func (m *model) expire(now int64, limit int) (credits []Credit, all bool) {
	past := slices.DeleteFunc(m.sorted(leased), func(e modelEvent) bool { return now < e.due })
	slices.SortStableFunc(past, func(a, b modelEvent) int { return int(a.due - b.due) })
	for i, e := range past {
		if i == limit {
			return credits, false
		}
		if e.holder != 0 {
			credits = append(credits, Credit{Holder: e.holder, Size: e.size})
		}
		if m.policy.MaxAttempts >= 0 && int(e.attempts) >= m.policy.MaxAttempts {
			m.die(e, expired, tidingsv1.DeadLetterCause_DEAD_LETTER_CAUSE_DEADLINE, now)
			continue
		}
		m.wait(e, expired, e.due, nil, m.delay(e.attempts))
	}
	return credits, true
}

func (m *model) remove(sequence int64) bool {
	e, there := m.events[sequence]
	if !there || e.state != waiting && e.state != blocked {
		return false
	}
	m.finish(e)
	return true
}

func (m *model) redrive(sequence int64, key uint64) bool {
	if _, there := m.events[sequence]; there {
		return false
	}
	e := modelEvent{sequence: sequence, key: key, redriven: true, state: waiting}
	if len(m.rivals(key)) > 0 {
		e.state = blocked
	}
	m.events[sequence] = e
	return true
}

func (m *model) seek(position int64) {
	m.generation++
	m.position = position
	m.firsts = map[uint64]int64{}
	for _, e := range m.sorted(leased, waiting, blocked) {
		delete(m.events, e.sequence)
	}
}

// crash forgets what no journal holds.
func (m *model) crash() {
	for sequence, e := range m.events {
		e.holder, e.size = 0, 0
		m.events[sequence] = e
	}
}
