package lease

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// How a consumer ends a delivery.
const (
	Ack     = storagev1.JournalAction_JOURNAL_ACTION_ACK
	Drop    = storagev1.JournalAction_JOURNAL_ACTION_DROP
	Retry   = storagev1.JournalAction_JOURNAL_ACTION_RETRY
	Release = storagev1.JournalAction_JOURNAL_ACTION_RELEASE
	Bury    = storagev1.JournalAction_JOURNAL_ACTION_DEAD_LETTER
)

// How it ends otherwise.
const (
	expired = storagev1.JournalAction_JOURNAL_ACTION_EXPIRE
	removed = storagev1.JournalAction_JOURNAL_ACTION_REMOVE
)

// The statuses of settlements, in short.
const (
	applied   = tidingsv1.SettlementStatus_SETTLEMENT_STATUS_APPLIED
	already   = tidingsv1.SettlementStatus_SETTLEMENT_STATUS_ALREADY_APPLIED
	lost      = tidingsv1.SettlementStatus_SETTLEMENT_STATUS_LEASE_LOST
	malformed = tidingsv1.SettlementStatus_SETTLEMENT_STATUS_MALFORMED
)

// Ref says which delivery is meant: what an authentic token holds. It may be of
// any age.
type Ref struct {
	// Generation is that of the subscription at the delivery.
	Generation uint64
	// Sequence is that of the event.
	Sequence int64
	// Delivery is Delivery.Number.
	Delivery uint32
}

// Settlement is what a consumer says of a delivery: how it ends, or that it goes
// on.
type Settlement struct {
	// Ref is the delivery.
	Ref Ref
	// Extend is how long from now the lease is to last. Not 0: the delivery goes
	// on, as Machine.Extend has it, and nothing below is set. 0: it ends.
	Extend time.Duration
	// Action is Ack, Drop, Retry, Release or Bury.
	Action storagev1.JournalAction
	// Delay is that of Retry and Release. nil: what the policy says, or none.
	Delay *time.Duration
	// Reason is that of Retry, Release and Bury.
	Reason string
}

// nackActions are the actions that nacks ask for.
var nackActions = map[tidingsv1.NackKind]storagev1.JournalAction{
	tidingsv1.NackKind_NACK_KIND_RETRY:       Retry,
	tidingsv1.NackKind_NACK_KIND_DEAD_LETTER: Bury,
	tidingsv1.NackKind_NACK_KIND_DROP:        Drop,
	tidingsv1.NackKind_NACK_KIND_RELEASE:     Release,
}

// NackOf returns a nack of a delivery as a Settlement.
func NackOf(ref Ref, nack *tidingsv1.Nack) Settlement {
	s := Settlement{Ref: ref, Action: Retry, Reason: nack.GetReason()}
	if action, known := nackActions[nack.GetKind()]; known {
		s.Action = action
	}
	if nack.GetDelay() != nil {
		delay := nack.GetDelay().AsDuration()
		s.Delay = &delay
	}
	return s
}

// Nack returns the nack that NackOf makes the Settlement of, which neither acks nor
// extends.
func (s Settlement) Nack() *tidingsv1.Nack {
	nack := &tidingsv1.Nack{Reason: s.Reason}
	for kind, action := range nackActions {
		if action == s.Action {
			nack.Kind = kind
		}
	}
	if s.Delay != nil {
		nack.Delay = durationpb.New(*s.Delay)
	}
	return nack
}

// Credit is what a lease gave back to a window when it ended.
type Credit struct {
	// Holder is whose window. 0: nobody's.
	Holder uint64
	// Size is how much of it.
	Size int32
}

// Settle ends a delivery. Only where the status is APPLIED did anything change,
// and is anything given back. It is MALFORMED for an action that isn't a consumer's, and
// for what extends a delivery.
func (m *Machine) Settle(s Settlement, now int64) (tidingsv1.SettlementStatus, Credit) {
	if !ofConsumer(s.Action) {
		return malformed, Credit{}
	}
	e := m.held(s.Ref, now)
	if e == nil {
		if m.ended(s.Ref) == s.Action {
			return already, Credit{}
		}
		return lost, Credit{}
	}
	credit := Credit{Holder: e.holder, Size: e.size}
	switch s.Action {
	case Retry:
		m.fail(e, Retry, now, now, s.Delay, s.Reason)
	case Release:
		due := now
		if s.Delay != nil {
			due += milliseconds(*s.Delay)
		}
		m.postpone(e, Release, due, s.Reason)
		m.journal.deferred(e.sequence, Release, due, s.Reason)
	case Bury:
		m.kill(e, Bury, tidingsv1.DeadLetterCause_DEAD_LETTER_CAUSE_NACK, s.Reason, now)
	default:
		m.journal.settled(e.sequence, s.Action)
		m.settle(e, s.Action)
	}
	return applied, credit
}

// Extend moves the deadline of a lease. Where the status is APPLIED, deadline is
// the new one.
func (m *Machine) Extend(ref Ref, d time.Duration, now int64) (status tidingsv1.SettlementStatus, deadline int64) {
	e := m.held(ref, now)
	if e == nil {
		return lost, 0
	}
	deadline = now + milliseconds(d)
	m.extend(e, deadline)
	m.journal.extended(e.sequence, deadline)
	return applied, deadline
}

// Hold gives a lease to a holder who had its delivery, and says what it is
// worth: APPLIED, it is leased to this holder; ALREADY_APPLIED, a settlement of
// it was applied; or LEASE_LOST. credit is what the lease gives back to the
// window that it counted in. Its size is 0 where it isn't known, after a
// recovery: see SetSize. The journal holds nothing of it.
//
// A holder that goes away needs nothing: its leases stay. Holders are never
// used again, so it is to nobody that they are given back.
func (m *Machine) Hold(ref Ref, holder uint64, now int64) (status tidingsv1.SettlementStatus, credit Credit) {
	if e := m.held(ref, now); e != nil {
		credit = Credit{Holder: e.holder, Size: e.size}
		e.holder = holder
		return applied, credit
	}
	if ofConsumer(m.ended(ref)) {
		return already, Credit{}
	}
	return lost, Credit{}
}

// SetSize sets what a leased event takes of its holder's window.
func (m *Machine) SetSize(sequence int64, size int32) {
	if e := m.entries[sequence]; e != nil && e.state == leased {
		e.size = size
	}
}

// Expire ends the leases whose deadline passed, at most limit of them, and
// reports whether these were all. credit gets what each gives back.
func (m *Machine) Expire(now int64, limit int, credit func(Credit)) (all bool) {
	for ; len(m.leases) > 0 && m.leases[0].rank <= now; limit-- {
		if limit <= 0 {
			return false
		}
		e := m.leases[0].entry
		was := Credit{Holder: e.holder, Size: e.size}
		m.fail(e, expired, e.due, now, nil, "")
		if was.Holder != 0 {
			credit(was)
		}
	}
	return true
}

// Remove settles an event that waits or is blocked and that retention removed
// from the topic, and reports whether it did. A gap is up to Skip.
func (m *Machine) Remove(sequence int64) bool {
	e := m.entries[sequence]
	if e == nil || e.state != waiting && e.state != blocked {
		return false
	}
	m.journal.settled(sequence, removed)
	m.settle(e, removed)
	return true
}

// fail ends a delivery that didn't succeed, at a time: the event is to be
// delivered again or has had its attempts.
func (m *Machine) fail(e *entry, action storagev1.JournalAction, at, now int64, delay *time.Duration, reason string) {
	if m.policy.exhausted(e.attempts) {
		cause := tidingsv1.DeadLetterCause_DEAD_LETTER_CAUSE_MAX_ATTEMPTS
		if action == expired {
			cause = tidingsv1.DeadLetterCause_DEAD_LETTER_CAUSE_DEADLINE
		}
		m.kill(e, action, cause, reason, now)
		return
	}
	due := at
	if delay != nil {
		due += milliseconds(*delay)
	} else {
		due += m.policy.backoff(e.attempts)
	}
	m.postpone(e, action, due, reason)
	m.journal.deferred(e.sequence, action, due, reason)
}

// kill makes an event a dead letter.
func (m *Machine) kill(e *entry, action storagev1.JournalAction, cause tidingsv1.DeadLetterCause, reason string, now int64) {
	m.bury(e, action, cause, reason, now)
	m.journal.deadLettered(e.sequence, action, cause, reason, now)
}

// held returns the event that is leased by a delivery, or nil.
func (m *Machine) held(ref Ref, now int64) *entry {
	if ref.Generation != m.generation {
		return nil
	}
	e := m.entries[ref.Sequence]
	if e == nil || e.state != leased || e.deliveries != ref.Delivery || now >= e.due {
		return nil
	}
	return e
}

// ended returns how a delivery ended, as far as it is known.
func (m *Machine) ended(ref Ref) storagev1.JournalAction {
	const unknown = storagev1.JournalAction_JOURNAL_ACTION_UNSPECIFIED
	if ref.Generation != m.generation {
		return unknown
	}
	// An event that was redriven and not delivered since counts as settled here:
	// it has no last action.
	if e := m.entries[ref.Sequence]; e != nil && (e.state == leased || e.lastAction != unknown) {
		if e.state == leased || e.deliveries != ref.Delivery {
			return unknown
		}
		return e.lastAction
	}
	settled, remembered := m.outcomes.find(ref.Sequence)
	switch {
	case remembered && settled.delivery == ref.Delivery:
		return settled.action
	case !remembered && ref.Delivery == 1 && ref.Sequence < m.position:
		return Ack // The usual outcome isn't remembered.
	default:
		return unknown
	}
}

// ofConsumer reports whether an action is a consumer's.
func ofConsumer(action storagev1.JournalAction) bool {
	switch action {
	case Ack, Drop, Retry, Release, Bury:
		return true
	default:
		return false
	}
}
