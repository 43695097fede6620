package lease

import (
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// format is the version of JournalEntry that is written and read.
const format = 1

// maxMerged bounds the events of one change, and so its size: to some 60 kB.
const maxMerged = 2048

// journal gathers the changes that aren't in the journal yet. A change like the
// last one is merged into it.
type journal struct {
	changes []*storagev1.JournalChange
	// moved says that the position moved in a way that no change tells so far.
	// It is told last: where more events follow, these tell it.
	moved bool
	gap   *tidingsv1.Gap
}

// Changes returns what happened since it was called last, for the journal. It
// belongs to the caller, but for the gaps in it, which must not be changed.
func (m *Machine) Changes() []*storagev1.JournalChange {
	m.journal.flush(m.position)
	changes := m.journal.changes
	m.journal.changes = nil
	return changes
}

// last returns the last change, or nil. It is for merging: what it returns is
// told before anything else that changes.
func (j *journal) last() *storagev1.JournalChange {
	if len(j.changes) == 0 {
		return nil
	}
	return j.changes[len(j.changes)-1]
}

func (j *journal) add(change *storagev1.JournalChange) {
	j.changes = append(j.changes, change)
}

// advanced tells that the position moved without an event that tells it.
func (j *journal) advanced(gap *tidingsv1.Gap) {
	j.moved = true
	if gap != nil {
		j.gap = gap
	}
}

// passed tells that an event is about to be told behind which the position is.
func (j *journal) passed() {
	j.moved = j.gap != nil
}

func (j *journal) flush(position int64) {
	if !j.moved {
		return
	}
	j.add(&storagev1.JournalChange{Change: &storagev1.JournalChange_Advanced{
		Advanced: &storagev1.JournalAdvanced{Position: position, Gap: j.gap},
	}})
	j.moved, j.gap = false, nil
}

func (j *journal) delivered(sequence int64, key uint64, at, deadline int64, ordering tidingsv1.Ordering) {
	d := j.last().GetDelivered()
	if d == nil || d.GetAt() != at || d.GetDeadline() != deadline || len(d.GetSequences()) == maxMerged {
		d = &storagev1.JournalDelivered{At: at, Deadline: deadline}
		j.add(&storagev1.JournalChange{Change: &storagev1.JournalChange_Delivered{Delivered: d}})
	}
	d.Sequences = append(d.Sequences, sequence)
	if ordering == tidingsv1.Ordering_ORDERING_KEY {
		d.Keys = append(d.Keys, key)
	}
}

func (j *journal) blocked(sequence int64, key uint64) {
	j.passed()
	b := j.last().GetBlocked()
	if b == nil || len(b.GetSequences()) == maxMerged {
		b = &storagev1.JournalBlocked{}
		j.add(&storagev1.JournalChange{Change: &storagev1.JournalChange_Blocked{Blocked: b}})
	}
	b.Sequences = append(b.Sequences, sequence)
	b.Keys = append(b.Keys, key)
}

func (j *journal) settled(sequence int64, action storagev1.JournalAction) {
	s := j.last().GetSettled()
	if s == nil || s.GetAction() != action || len(s.GetSequences()) == maxMerged {
		s = &storagev1.JournalSettled{Action: action}
		j.add(&storagev1.JournalChange{Change: &storagev1.JournalChange_Settled{Settled: s}})
	}
	s.Sequences = append(s.Sequences, sequence)
}

func (j *journal) deferred(sequence int64, action storagev1.JournalAction, due int64, reason string) {
	j.add(&storagev1.JournalChange{Change: &storagev1.JournalChange_Deferred{
		Deferred: &storagev1.JournalDeferred{Sequence: sequence, Action: action, Due: due, Reason: reason},
	}})
}

func (j *journal) extended(sequence, deadline int64) {
	j.add(&storagev1.JournalChange{Change: &storagev1.JournalChange_Extended{
		Extended: &storagev1.JournalExtended{Sequence: sequence, Deadline: deadline},
	}})
}

func (j *journal) deadLettered(
	sequence int64, action storagev1.JournalAction, cause tidingsv1.DeadLetterCause, reason string, at int64,
) {
	j.add(&storagev1.JournalChange{Change: &storagev1.JournalChange_DeadLettered{
		DeadLettered: &storagev1.JournalDeadLettered{
			Sequence: sequence, Action: action, Cause: cause, Reason: reason, At: at,
		},
	}})
}

func (j *journal) filed(sequence int64) {
	f := j.last().GetFiled()
	if f == nil || len(f.GetSequences()) == maxMerged {
		f = &storagev1.JournalFiled{}
		j.add(&storagev1.JournalChange{Change: &storagev1.JournalChange_Filed{Filed: f}})
	}
	f.Sequences = append(f.Sequences, sequence)
}

func (j *journal) redriven(sequence int64, deliveries uint32, key uint64, ordering tidingsv1.Ordering) {
	r := j.last().GetRedriven()
	if r == nil || len(r.GetSequences()) == maxMerged {
		r = &storagev1.JournalRedriven{}
		j.add(&storagev1.JournalChange{Change: &storagev1.JournalChange_Redriven{Redriven: r}})
	}
	r.Sequences = append(r.Sequences, sequence)
	r.Deliveries = append(r.Deliveries, deliveries)
	if ordering == tidingsv1.Ordering_ORDERING_KEY {
		r.Keys = append(r.Keys, key)
	}
}

// sought tells of a seek, before which the position was another.
func (j *journal) sought(sought *storagev1.JournalSought, before int64) {
	j.flush(before)
	j.add(&storagev1.JournalChange{Change: &storagev1.JournalChange_Sought{Sought: sought}})
}

func (j *journal) used(at int64) {
	j.add(&storagev1.JournalChange{Change: &storagev1.JournalChange_Used{
		Used: &storagev1.JournalUsed{At: at},
	}})
}

func (j *journal) owned(server string) {
	j.add(&storagev1.JournalChange{Change: &storagev1.JournalChange_Owned{
		Owned: &storagev1.JournalOwned{Server: server},
	}})
}
