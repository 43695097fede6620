package lease

import (
	"errors"
	"fmt"
	"math"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// ErrJournal says that a journal isn't one that a Machine could have written,
// or that a later release wrote it. The Machine it was applied to is of no more
// use.
var ErrJournal = errors.New("the journal makes no sense")

// ApplyEntry takes a stored entry into the state. What it says isn't among the
// Changes.
func (m *Machine) ApplyEntry(entry *storagev1.JournalEntry) error {
	if entry.GetFormat() != format {
		return fmt.Errorf("%w: an entry has format %d", ErrJournal, entry.GetFormat())
	}
	for _, change := range entry.GetChanges() {
		if err := m.Apply(change); err != nil {
			return err
		}
	}
	return nil
}

// Apply takes a stored change into the state. What it says isn't among the
// Changes.
func (m *Machine) Apply(change *storagev1.JournalChange) error {
	switch c := change.GetChange().(type) {
	case *storagev1.JournalChange_Reset_:
		m.reset(c.Reset_)
	case *storagev1.JournalChange_Restored:
		return m.applyRestored(c.Restored)
	case *storagev1.JournalChange_Delivered:
		return m.applyDelivered(c.Delivered)
	case *storagev1.JournalChange_Blocked:
		return m.applyBlocked(c.Blocked)
	case *storagev1.JournalChange_Advanced:
		return m.applyAdvanced(c.Advanced)
	case *storagev1.JournalChange_Settled:
		return m.applySettled(c.Settled)
	case *storagev1.JournalChange_Deferred:
		return m.applyDeferred(c.Deferred)
	case *storagev1.JournalChange_Extended:
		return m.applyExtended(c.Extended)
	case *storagev1.JournalChange_DeadLettered:
		return m.applyDeadLettered(c.DeadLettered)
	case *storagev1.JournalChange_Filed:
		return m.applyFiled(c.Filed)
	case *storagev1.JournalChange_Redriven:
		return m.applyRedriven(c.Redriven)
	case *storagev1.JournalChange_Sought:
		return m.applySought(c.Sought)
	case *storagev1.JournalChange_Used:
		m.usedAt = c.Used.GetAt()
	case *storagev1.JournalChange_Owned:
	default:
		return fmt.Errorf("%w: a change is of no known kind", ErrJournal)
	}
	return nil
}

func (m *Machine) applyDelivered(delivered *storagev1.JournalDelivered) error {
	sequences, keys := delivered.GetSequences(), delivered.GetKeys()
	if err := m.checkKeys(len(sequences), len(keys)); err != nil {
		return err
	}
	for i, sequence := range sequences {
		var key uint64
		if len(keys) > 0 {
			key = keys[i]
		}
		e := m.entries[sequence]
		switch {
		case e == nil && m.chains.taken(m.chainOf(key)):
			return fmt.Errorf("%w: event %d was delivered before its turn", ErrJournal, sequence)
		case e == nil:
			if err := m.checkNew(sequence); err != nil {
				return err
			}
			e = m.arrive(sequence, key)
		case e.state != waiting:
			return inState(e, "was delivered")
		}
		m.lease(e, delivered.GetAt(), delivered.GetDeadline())
	}
	return nil
}

func (m *Machine) applyBlocked(change *storagev1.JournalBlocked) error {
	sequences, keys := change.GetSequences(), change.GetKeys()
	if m.ordering != tidingsv1.Ordering_ORDERING_KEY {
		return fmt.Errorf("%w: events are blocked, but not ordered by key", ErrJournal)
	}
	if err := m.checkKeys(len(sequences), len(keys)); err != nil {
		return err
	}
	for i, sequence := range sequences {
		if err := m.checkNew(sequence); err != nil {
			return err
		}
		if !m.chains.taken(m.chainOf(keys[i])) {
			return fmt.Errorf("%w: event %d is blocked by none", ErrJournal, sequence)
		}
		m.block(sequence, keys[i])
	}
	return nil
}

func (m *Machine) applyAdvanced(advanced *storagev1.JournalAdvanced) error {
	if advanced.GetPosition() < m.position {
		return fmt.Errorf("%w: it advanced from %d to %d", ErrJournal, m.position, advanced.GetPosition())
	}
	m.position = advanced.GetPosition()
	if advanced.GetGap() != nil {
		m.latestGap = advanced.GetGap()
	}
	return nil
}

func (m *Machine) applySettled(settled *storagev1.JournalSettled) error {
	action := settled.GetAction()
	for _, sequence := range settled.GetSequences() {
		e := m.entries[sequence]
		switch {
		case e == nil:
			return unknown(sequence, "was settled")
		case e.state == leased && (action == Ack || action == Drop):
		case (e.state == waiting || e.state == blocked) && action == removed:
		default:
			return inState(e, "was settled by "+action.String())
		}
		m.settle(e, action)
	}
	return nil
}

func (m *Machine) applyDeferred(deferred *storagev1.JournalDeferred) error {
	e, err := m.leasedEntry(deferred.GetSequence(), "was deferred")
	if err != nil {
		return err
	}
	switch action := deferred.GetAction(); action {
	case Retry, Release, expired:
		m.postpone(e, action, deferred.GetDue(), deferred.GetReason())
		return nil
	default:
		return inState(e, "was deferred by "+action.String())
	}
}

func (m *Machine) applyExtended(extended *storagev1.JournalExtended) error {
	e, err := m.leasedEntry(extended.GetSequence(), "was extended")
	if err != nil {
		return err
	}
	m.extend(e, extended.GetDeadline())
	return nil
}

func (m *Machine) applyDeadLettered(dead *storagev1.JournalDeadLettered) error {
	e, err := m.leasedEntry(dead.GetSequence(), "became a dead letter")
	if err != nil {
		return err
	}
	switch action := dead.GetAction(); action {
	case Retry, Bury, expired:
		m.bury(e, action, dead.GetCause(), dead.GetReason(), dead.GetAt())
		return nil
	default:
		return inState(e, "became a dead letter by "+action.String())
	}
}

func (m *Machine) applyFiled(filed *storagev1.JournalFiled) error {
	for _, sequence := range filed.GetSequences() {
		if !m.file(sequence) {
			return unknown(sequence, "was filed")
		}
	}
	m.sweep()
	return nil
}

func (m *Machine) applyRedriven(redriven *storagev1.JournalRedriven) error {
	sequences, deliveries, keys := redriven.GetSequences(), redriven.GetDeliveries(), redriven.GetKeys()
	if err := m.checkKeys(len(sequences), len(keys)); err != nil {
		return err
	}
	if len(deliveries) != len(sequences) {
		return fmt.Errorf("%w: %d events were redriven, with %d deliveries", ErrJournal, len(sequences), len(deliveries))
	}
	for i, sequence := range sequences {
		if err := m.checkAbsent(sequence); err != nil {
			return err
		}
		var key uint64
		if len(keys) > 0 {
			key = keys[i]
		}
		m.redrive(sequence, deliveries[i], key)
	}
	return nil
}

func (m *Machine) applySought(sought *storagev1.JournalSought) error {
	if sought.GetGeneration() <= m.generation {
		return fmt.Errorf("%w: generation %d followed %d", ErrJournal, sought.GetGeneration(), m.generation)
	}
	m.seek(sought)
	return nil
}

// checkKeys checks that there is a key for each event exactly where the order
// is by key.
func (m *Machine) checkKeys(sequences, keys int) error {
	want := 0
	if m.ordering == tidingsv1.Ordering_ORDERING_KEY {
		want = sequences
	}
	if keys != want {
		return fmt.Errorf("%w: %d events have %d keys", ErrJournal, sequences, keys)
	}
	return nil
}

// checkNew checks that an event may be new.
func (m *Machine) checkNew(sequence int64) error {
	if sequence < m.position {
		return fmt.Errorf("%w: event %d is new, below the position %d", ErrJournal, sequence, m.position)
	}
	return m.checkAbsent(sequence)
}

// checkAbsent checks that an event isn't tracked and may be.
func (m *Machine) checkAbsent(sequence int64) error {
	if sequence < 1 || sequence == math.MaxInt64 {
		return fmt.Errorf("%w: %d is the sequence of no event", ErrJournal, sequence)
	}
	if e := m.entries[sequence]; e != nil {
		return inState(e, "came anew")
	}
	return nil
}

// leasedEntry returns the entry of an event that has to be leased.
func (m *Machine) leasedEntry(sequence int64, what string) (*entry, error) {
	e := m.entries[sequence]
	switch {
	case e == nil:
		return nil, unknown(sequence, what)
	case e.state != leased:
		return nil, inState(e, what)
	default:
		return e, nil
	}
}

func unknown(sequence int64, what string) error {
	return fmt.Errorf("%w: event %d %s and isn't tracked", ErrJournal, sequence, what)
}

func inState(e *entry, what string) error {
	return fmt.Errorf("%w: event %d %s in state %s", ErrJournal, e.sequence, what, e.state)
}
