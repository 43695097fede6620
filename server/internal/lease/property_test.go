package lease

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// TestMain lets a run of a property take more steps than rapid's default, as a
// subscription's life is long.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.steps", "150"); err != nil {
		panic(err)
	}
	flag.Parse() // What the command line says counts.
	os.Exit(m.Run())
}

func TestMachineDoesWhatTheModelSays(t *testing.T) {
	for _, ordering := range []tidingsv1.Ordering{
		tidingsv1.Ordering_ORDERING_NONE, tidingsv1.Ordering_ORDERING_KEY, tidingsv1.Ordering_ORDERING_TOTAL,
	} {
		t.Run(ordering.String(), rapid.MakeCheck(func(t *rapid.T) {
			w := newWorld(t, ordering)
			t.Repeat(map[string]func(*rapid.T){
				"":        w.check,
				"admit":   w.admit,
				"admit2":  w.admit, // Much of it, or there is little to settle.
				"admit3":  w.admit,
				"again":   w.again,
				"again2":  w.again,
				"settle":  w.settle,
				"settle2": w.settle,
				"settle3": w.settle,
				"forge":   w.forge,
				"extend":  w.extend,
				"hold":    w.hold,
				"time":    w.time,
				"expire":  w.expire,
				"remove":  w.remove,
				"skip":    w.skip,
				"file":    w.file,
				"redrive": w.redrive,
				"seek":    w.seek,
				"use":     w.use,
				"policy":  w.policy,
				"commit":  w.commit,
				"crash":   w.crash,
				"fail":    w.fail,
				"compact": w.compact,
			})
			w.drain(t)
		}))
	}
}

// world is a subscription's machine beside its model, with a topic, a journal
// and dead letters.
type world struct {
	machine *Machine
	model   *model
	now     int64

	// topic are the events' sequences and keys.
	topic []int64
	keys  map[int64]uint64
	// refs are all deliveries ever made, repeated for none.
	refs  []Ref
	given map[Ref]bool

	// journal is what is stored, and committed the model at that time.
	journal   stored
	committed *model
	dead      map[int64]deadRecord
}

// deadRecord is a stored dead letter.
type deadRecord struct {
	generation uint64
	deliveries uint32
}

func newWorld(t *rapid.T, ordering tidingsv1.Ordering) *world {
	policy := drawPolicy(t)
	w := &world{
		machine: New(ordering, policy, 1),
		model:   newModel(ordering, policy, 1),
		now:     1_000_000,
		keys:    map[int64]uint64{},
		given:   map[Ref]bool{},
		dead:    map[int64]deadRecord{},
	}
	w.committed = w.model.clone()
	return w
}

func drawPolicy(t *rapid.T) Policy {
	minimum := rapid.Int64Range(0, 500).Draw(t, "min backoff")
	return Policy{
		AckDeadline: time.Duration(rapid.Int64Range(1, 1000).Draw(t, "ack deadline")) * time.Millisecond,
		MinBackoff:  time.Duration(minimum) * time.Millisecond,
		MaxBackoff:  time.Duration(rapid.Int64Range(minimum, 5000).Draw(t, "max backoff")) * time.Millisecond,
		Multiplier:  float64(rapid.IntRange(1, 3).Draw(t, "multiplier")),
		MaxAttempts: rapid.SampledFrom([]int{-1, 1, 2, 3}).Draw(t, "max attempts"),
	}
}

// upcoming returns the first event of the topic at the position or after it.
func (w *world) upcoming(t *rapid.T) (sequence int64, key uint64) {
	position := w.machine.Position()
	at, _ := slices.BinarySearch(w.topic, position)
	if at == len(w.topic) {
		sequence := position + rapid.Int64Range(0, 2).Draw(t, "gap")
		w.topic = append(w.topic, sequence)
		w.keys[sequence] = rapid.Uint64Range(0, 3).Draw(t, "key")
	}
	return w.topic[at], w.keys[w.topic[at]]
}

func (w *world) admit(t *rapid.T) {
	sequence, key := w.upcoming(t)
	if got, want := w.machine.CanAdmit(), w.machine.ordering != tidingsv1.Ordering_ORDERING_TOTAL ||
		len(w.model.sorted(leased, waiting, blocked)) == 0; got != want {
		t.Fatalf("CanAdmit %v, want %v", got, want)
	}
	if rapid.IntRange(0, 4).Draw(t, "filter") == 0 {
		w.machine.Skip(sequence+1, nil)
		w.model.position = sequence + 1
		return
	}
	if _, there := w.model.events[sequence]; !there && len(w.model.rivals(key)) > 0 {
		w.refused(t, sequence, key)
	}
	got, want := w.machine.Admit(sequence, key), w.model.admit(sequence, key)
	if got != want {
		t.Fatalf("Admit(%d, %d) = %v, want %v", sequence, key, got, want)
	}
	if got == Now {
		w.deliver(t, sequence, key)
		return
	}
	if e, there := w.model.events[sequence]; there && e.state == waiting {
		return // It was redriven, and Next has it.
	}
	w.refused(t, sequence, key)
}

// refused tries to deliver an event whose turn it isn't.
func (w *world) refused(t *rapid.T, sequence int64, key uint64) {
	w.unchanged(t, func() bool {
		_, ok := w.machine.Deliver(sequence, key, 1, 1, w.now)
		if ok {
			t.Fatalf("event %d was delivered before its turn", sequence)
		}
		return ok
	})
}

func (w *world) again(t *rapid.T) {
	got, ok := w.machine.Next(w.now)
	if want, wantOK := w.model.next(w.now); got != want || ok != wantOK {
		t.Fatalf("Next = %d, %v, want %d, %v", got, ok, want, wantOK)
	}
	if ok {
		w.deliver(t, got, w.keys[got])
	}
}

func (w *world) deliver(t *rapid.T, sequence int64, key uint64) {
	holder := rapid.Uint64Range(1, 3).Draw(t, "holder")
	size := rapid.Int32Range(1, 100).Draw(t, "size")
	got, ok := w.machine.Deliver(sequence, key, holder, size, w.now)
	if !ok {
		t.Fatalf("event %d was not delivered", sequence)
	}
	want := w.model.deliver(sequence, key, got.Number, holder, size, w.now)
	if got != want {
		t.Fatalf("delivered event %d as %+v, want %+v", sequence, got, want)
	}
	ref := w.model.events[sequence].ref
	if w.given[ref] {
		t.Fatalf("%+v was given to two deliveries", ref)
	}
	w.given[ref] = true
	w.refs = append(w.refs, ref)
	if got.Number != 1 {
		return
	}
	if key != 0 && w.machine.ordering == tidingsv1.Ordering_ORDERING_KEY {
		if w.model.firsts[key] >= sequence {
			t.Fatalf("event %d of key %d comes after %d", sequence, key, w.model.firsts[key])
		}
		w.model.firsts[key] = sequence
	}
}

// drawRef picks a delivery: often a late one, which may still be leased.
func (w *world) drawRef(t *rapid.T) Ref {
	if len(w.refs) == 0 {
		t.Skip("nothing was delivered")
	}
	back := rapid.IntRange(1, len(w.refs)).Draw(t, "ref")
	if rapid.Bool().Draw(t, "late") {
		back = min(back, 1+back%8)
	}
	return w.refs[len(w.refs)-back]
}

// unchanged runs what must change nothing where it says so.
func (w *world) unchanged(t *rapid.T, operation func() (changed bool)) {
	before, journal := dump(w.machine, true), pending(w.machine)
	if !operation() && (!slices.Equal(dump(w.machine, true), before) || pending(w.machine) != journal) {
		t.Fatalf("it was to change nothing, and left\n%q of\n%q", dump(w.machine, true), before)
	}
}

func (w *world) settle(t *rapid.T) {
	s := Settlement{
		Ref:    w.drawRef(t),
		Action: rapid.SampledFrom([]storagev1.JournalAction{Ack, Ack, Drop, Retry, Retry, Release, Bury}).Draw(t, "action"),
		Reason: rapid.SampledFrom([]string{"", "no", "never"}).Draw(t, "reason"),
	}
	if rapid.Bool().Draw(t, "delayed") {
		delay := time.Duration(rapid.Int64Range(0, 300).Draw(t, "delay")) * time.Millisecond
		s.Delay = &delay
	}
	for range rapid.IntRange(1, 2).Draw(t, "times") {
		w.unchanged(t, func() bool {
			status, credit := w.machine.Settle(s, w.now)
			wantStatus, wantCredit := w.model.settle(s, w.now)
			if status != wantStatus || credit != wantCredit {
				t.Fatalf("Settle(%+v) = %v, %+v, want %v, %+v", s, status, credit, wantStatus, wantCredit)
			}
			return status == applied
		})
	}
}

// forge settles by what no token ever held.
func (w *world) forge(t *rapid.T) {
	ref := Ref{
		Generation: rapid.Uint64Range(0, 4).Draw(t, "generation"),
		Sequence:   rapid.Int64Range(-1, w.machine.Position()+10).Draw(t, "sequence"),
		Delivery:   rapid.SampledFrom([]uint32{0, 1, 2, 3, farDeliveries, farDeliveries + 1, 1<<32 - 1}).Draw(t, "delivery"),
	}
	if w.given[ref] {
		t.Skip("it is none")
	}
	action := storagev1.JournalAction(rapid.Int32Range(-1, 8).Draw(t, "action"))
	w.unchanged(t, func() bool {
		if status, credit := w.machine.Settle(Settlement{Ref: ref, Action: action}, w.now); status == applied || credit != (Credit{}) {
			t.Fatalf("%+v settled something", ref)
		}
		if status, _ := w.machine.Extend(ref, time.Minute, w.now); status != lost {
			t.Fatalf("%+v was extended: %v", ref, status)
		}
		if status, _ := w.machine.Hold(ref, 1, w.now); status == applied {
			t.Fatalf("%+v is held", ref)
		}
		return false
	})
}

func (w *world) check(t *rapid.T) {
	if err := checkMachine(w.machine); err != nil {
		t.Fatal(err)
	}
	if err := checkAgainst(w.machine, w.model); err != nil {
		t.Fatal(err)
	}
	if got, want := w.machine.Room(), MaxTracked-len(w.model.events); got != want || w.machine.Len() != len(w.model.events) {
		t.Fatalf("room for %d beside %d, want %d", got, w.machine.Len(), want)
	}
	var redriven []int64
	for _, sequence := range slices.Sorted(maps.Keys(w.model.events)) {
		if w.model.events[sequence].redriven {
			redriven = append(redriven, sequence)
		}
	}
	if got := w.machine.Redriven(); !slices.Equal(got, redriven) {
		t.Fatalf("redriven %v, want %v", got, redriven)
	}
	at, ok := w.machine.NextDue(w.now)
	if want, wantOK := w.model.nextDue(w.now); at != want || ok != wantOK {
		t.Fatalf("NextDue = %d, %v, want %d, %v", at, ok, want, wantOK)
	}
}

// drain settles all there is: nothing may stay behind.
func (w *world) drain(t *rapid.T) {
	for steps := 0; w.machine.Len() > 0; steps++ {
		if steps > 10_000 {
			t.Fatalf("%d events stay behind: %q", w.machine.Len(), dump(w.machine, true))
		}
		if sequence, ok := w.machine.Next(w.now); ok {
			w.deliver(t, sequence, w.keys[sequence])
			ref := w.refs[len(w.refs)-1]
			if status, _ := w.machine.Settle(Settlement{Ref: ref, Action: Ack}, w.now); status != applied {
				t.Fatalf("ack of %+v: %v", ref, status)
			}
			w.model.settle(Settlement{Ref: ref, Action: Ack}, w.now)
			continue
		}
		if at, ok := w.machine.NextDue(w.now); ok {
			w.now = max(w.now, at)
		}
		w.expire(t)
		w.file(t)
	}
	w.check(t)
	if len(w.machine.chains.blocked) > 0 {
		t.Fatalf("chains stay behind: %v", w.machine.chains.blocked)
	}
	if sequences := fmt.Sprint(w.machine.Redriven()); sequences != "[]" {
		t.Fatalf("redriven stay behind: %s", sequences)
	}
}
