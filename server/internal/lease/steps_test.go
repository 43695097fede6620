package lease

import (
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

func (w *world) extend(t *rapid.T) {
	ref := w.drawRef(t)
	d := time.Duration(rapid.Int64Range(1, 2000).Draw(t, "extension")) * time.Millisecond
	w.unchanged(t, func() bool {
		status, deadline := w.machine.Extend(ref, d, w.now)
		if want, wantDeadline := w.model.extend(ref, d, w.now); status != want || deadline != wantDeadline {
			t.Fatalf("Extend(%+v) = %v, %d, want %v, %d", ref, status, deadline, want, wantDeadline)
		}
		return status == applied
	})
}

func (w *world) hold(t *rapid.T) {
	ref := w.drawRef(t)
	holder := rapid.Uint64Range(4, 6).Draw(t, "holder")
	w.unchanged(t, func() bool {
		status, credit := w.machine.Hold(ref, holder, w.now)
		if want, wantCredit := w.model.hold(ref, holder, w.now); status != want || credit != wantCredit {
			t.Fatalf("Hold(%+v) = %v, %+v, want %v, %+v", ref, status, credit, want, wantCredit)
		}
		if status != applied {
			return false
		}
		w.machine.SetSize(ref.Sequence, 7)
		e := w.model.events[ref.Sequence]
		e.size = 7
		w.model.events[ref.Sequence] = e
		return true
	})
}

func (w *world) time(t *rapid.T) {
	if at, ok := w.machine.NextDue(w.now); ok && rapid.Bool().Draw(t, "exactly") {
		w.now = max(w.now, at) // A deadline to the millisecond.
		return
	}
	w.now += rapid.Int64Range(1, 1500).Draw(t, "time")
}

func (w *world) expire(t *rapid.T) {
	limit := rapid.IntRange(1, 5).Draw(t, "limit")
	var credits []Credit
	all := w.machine.Expire(w.now, limit, func(c Credit) { credits = append(credits, c) })
	if want, wantAll := w.model.expire(w.now, limit); !slices.Equal(credits, want) || all != wantAll {
		t.Fatalf("Expire gives back %+v, %v, want %+v, %v", credits, all, want, wantAll)
	}
}

func (w *world) remove(t *rapid.T) {
	if len(w.topic) == 0 {
		t.Skip("the topic is empty")
	}
	sequence := rapid.SampledFrom(w.topic).Draw(t, "sequence")
	w.unchanged(t, func() bool {
		got := w.machine.Remove(sequence)
		if want := w.model.remove(sequence); got != want {
			t.Fatalf("Remove(%d) = %v, want %v", sequence, got, want)
		}
		return got
	})
}

func (w *world) skip(t *rapid.T) {
	position := w.machine.Position() + rapid.Int64Range(0, 5).Draw(t, "events")
	gap := &tidingsv1.Gap{FirstSequence: w.machine.Position(), NextSequence: position}
	w.machine.Skip(position, gap)
	w.model.position, w.model.gap = position, gap
}

// file stores and deletes dead letters as an owner does: after what made them
// is in the journal.
func (w *world) file(t *rapid.T) {
	w.commit(t)
	var sequences []int64
	for d := range w.machine.Dying() {
		e := w.model.events[d.Sequence]
		want := DeadLetter{
			Sequence: d.Sequence, Cause: e.cause, Attempts: e.attempts, Deliveries: d.Deliveries,
			Reason: e.reason, FirstAttempt: e.first, At: e.due, Redriven: e.redriven,
		}
		if e.state != dying || d != want {
			t.Fatalf("%+v is dying, want %+v", d, want)
		}
		if rapid.IntRange(0, 3).Draw(t, "store") == 0 {
			continue
		}
		w.dead[d.Sequence] = deadRecord{generation: w.machine.Generation(), deliveries: d.Deliveries}
		sequences = append(sequences, d.Sequence)
	}
	for sequence := range w.machine.Done() {
		if w.model.events[sequence].state != done {
			t.Fatalf("%d is done", sequence)
		}
		if _, there := w.dead[sequence]; !there {
			// Only where an owner stopped between deleting and telling it.
			t.Logf("the dead letter of %d is gone already", sequence)
		}
		delete(w.dead, sequence)
		sequences = append(sequences, sequence)
	}
	w.machine.Filed(append(sequences, sequences...)...) // Twice is as good as once.
	for _, sequence := range sequences {
		delete(w.model.events, sequence)
	}
}

func (w *world) redrive(t *rapid.T) {
	sequences := slices.Sorted(maps.Keys(w.dead))
	if len(sequences) == 0 {
		t.Skip("nothing is dead")
	}
	sequence := rapid.SampledFrom(sequences).Draw(t, "sequence")
	record := w.dead[sequence]
	for range 2 {
		w.unchanged(t, func() bool {
			got := w.machine.Redrive(sequence, record.generation, record.deliveries, w.keys[sequence])
			if want := w.model.redrive(sequence, w.keys[sequence]); got != want {
				t.Fatalf("Redrive(%d) = %v, want %v", sequence, got, want)
			}
			return got
		})
	}
}

func (w *world) seek(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "really") > 0 {
		t.Skip("not often")
	}
	position := rapid.Int64Range(1, w.machine.Position()+5).Draw(t, "position")
	var notBefore *timestamppb.Timestamp
	if rapid.Bool().Draw(t, "not before a time") {
		notBefore = timestamppb.New(time.Unix(rapid.Int64Range(0, 1<<32).Draw(t, "seconds"), 0))
	}
	id, previous := rapid.StringN(0, 3, -1).Draw(t, "id"), w.model.unsettled()
	if id != "" && id == w.machine.sought.GetId() {
		t.Skip("it is a repetition")
	}
	for range 2 { // The second changes nothing, unless it isn't known to be one.
		if got := w.machine.SeekTo(position, notBefore, id); got != previous {
			t.Fatalf("the oldest unsettled event is %d, want %d", got, previous)
		}
		if id == "" {
			break
		}
	}
	if got := w.machine.NotBefore(); got != notBefore {
		t.Fatalf("events are left out before %v, want %v", got, notBefore)
	}
	w.model.seek(position)
}

func (w *world) use(*rapid.T) {
	w.machine.Used(w.now)
	if w.model.usedAt == 0 || w.now-w.model.usedAt >= time.Minute.Milliseconds() {
		w.model.usedAt = w.now
	}
	if got := w.machine.UsedAt(); got != w.model.usedAt {
		panic("used at another time")
	}
}

func (w *world) policy(t *rapid.T) {
	policy := drawPolicy(t)
	w.machine.SetPolicy(policy)
	w.model.policy, w.committed.policy = policy, policy
}

// commit stores what changed. Whatever part of it is stored gives a state.
func (w *world) commit(t *rapid.T) {
	before := dump(w.machine, true)
	entries := Entries(w.machine.Changes(), rapid.IntRange(1, 1000).Draw(t, "chunk"))
	if len(entries) > 0 {
		journal, err := w.journal.store(entries[:rapid.IntRange(0, len(entries)).Draw(t, "stored")])
		if err != nil {
			t.Fatal(err)
		}
		part := w.folded(t, journal)
		if err := checkMachine(part); err != nil {
			t.Fatalf("a part of the journal: %v", err)
		}
	}
	journal, err := w.journal.store(entries)
	if err != nil {
		t.Fatal(err)
	}
	w.journal, w.committed = journal, w.model.clone()
	if changes := w.machine.Changes(); len(changes) > 0 || !slices.Equal(dump(w.machine, true), before) {
		t.Fatalf("taking the changes changed something: %v", changes)
	}
	w.same(t, w.folded(t, w.journal))
}

func (w *world) folded(t *rapid.T, journal stored) *Machine {
	folded, err := journal.fold(New(w.machine.ordering, w.machine.policy, 1))
	if err != nil {
		t.Fatal(err)
	}
	if changes := folded.Changes(); len(changes) > 0 {
		t.Fatalf("reading the journal is to be put into it: %v", changes)
	}
	return folded
}

// same checks that the journal says all.
func (w *world) same(t *rapid.T, folded *Machine) {
	if got, want := dump(folded, false), dump(w.machine, false); !slices.Equal(got, want) {
		t.Fatalf("the journal gives\n%q, want\n%q", got, want)
	}
}

// crash goes on with what the journal says, which is all.
func (w *world) crash(t *rapid.T) {
	w.machine.Owned("another")
	w.commit(t)
	w.machine = w.folded(t, w.journal)
	w.model.crash()
	w.committed = w.model.clone()
}

// fail goes on with what the journal says after what came last couldn't be
// stored. Nobody was told of that.
func (w *world) fail(t *rapid.T) {
	w.machine = w.folded(t, w.journal)
	w.model = w.committed.clone()
	w.model.crash()
	w.refs = slices.DeleteFunc(w.refs, func(ref Ref) bool {
		_, told := w.model.fates[ref]
		return !told
	})
	w.given = map[Ref]bool{}
	for _, ref := range w.refs {
		w.given[ref] = true
	}
}

// compact puts the state in place of the journal.
func (w *world) compact(t *rapid.T) {
	chunk := rapid.IntRange(1, 2000).Draw(t, "chunk")
	before := dump(w.machine, true)
	entries := w.machine.Snapshot(chunk)
	if !slices.Equal(dump(w.machine, true), before) {
		t.Fatal("a snapshot changed the state")
	}
	if kind := entries[0].GetChanges()[0].GetChange(); kind == nil {
		t.Fatal("a snapshot begins with nothing")
	} else if _, ok := kind.(*storagev1.JournalChange_Reset_); !ok {
		t.Fatalf("a snapshot begins with %T", kind)
	}
	if changes := w.machine.Changes(); len(changes) > 0 {
		t.Fatalf("the snapshot doesn't hold %v", changes)
	}
	journal, err := stored(nil).store(entries)
	if err != nil {
		t.Fatal(err)
	}
	w.journal, w.committed = journal, w.model.clone()
	folded := w.folded(t, journal)
	w.same(t, folded)
	// What comes before a reset counts no more.
	if folded, err = journal.fold(folded); err != nil {
		t.Fatal(err)
	}
	w.same(t, folded)
}
