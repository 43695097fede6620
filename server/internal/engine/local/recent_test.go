package local

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"example.com/tidings/server/internal/engine"
)

// Wherever an identity is by now, in a batch, in a memtable or in a table, it is
// recognised, and what isn't stored is not.
func TestIdentitiesAreFoundEverywhere(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64() //nolint:gosec // Any will do.
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // It is to be the same for a seed.
	e := open(t, vfs.NewCrashableMem())
	newTopic(t, e, "orders", byEvent)
	type stored struct {
		sequence int64
		text     string
	}
	model := make(map[string]stored)
	end := int64(1)
	for range 60 {
		topic, err := e.Topic(t.Context(), "orders")
		if err != nil {
			t.Fatal(err)
		}
		var appends []engine.Append
		var events []keyedEvent
		for range 1 + random.IntN(40) {
			event := keyedEvent{id: fmt.Sprint(random.IntN(600)), text: fmt.Sprint(random.IntN(3))}
			a, err := e.Start(t.Context(), topic, batchOf(t, event), nil)
			if err != nil {
				t.Fatal(err)
			}
			appends, events = append(appends, a), append(events, event)
			if random.IntN(40) == 0 {
				if err := e.db.Flush(); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i, a := range appends {
			event := events[i]
			known, ok := model[event.id]
			if !ok {
				known = stored{end, event.text}
				model[event.id] = known
				end++
			}
			appended, err := a.Wait(t.Context())
			var conflict *engine.ConflictError
			switch {
			case known.text != event.text:
				if !errors.As(err, &conflict) || conflict.Sequence != known.sequence {
					t.Fatalf("%+v: got %+v and %v, want a conflict with %+v", event, appended, err, known)
				}
			case err != nil || appended.First != known.sequence || appended.Duplicate != ok:
				t.Fatalf("%+v: got %+v and %v, want %+v, known %t", event, appended, err, known, ok)
			}
		}
		if random.IntN(15) == 0 {
			e = reopen(t, e)
		}
	}
}

// What is in tables isn't kept in memory.
func TestIdentitiesLeaveMemory(t *testing.T) {
	t.Parallel()
	e := open(t, vfs.NewCrashableMem())
	topic := newTopic(t, e, "orders", nil)
	for i := range 5 {
		putMany(t, e, topic, i*100, 100)
		if err := e.db.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	put(t, e, topic, keyedEvent{"last", "", "last"})
	held := 0
	err := e.committer.do(t.Context(), func(*pebble.Batch) error {
		for _, g := range e.committer.recent.generations {
			held += len(g.of)
		}
		return nil
	}, nil)
	if err != nil || held != 1 {
		t.Errorf("%d identities are in memory, %v, want that which no table has", held, err)
	}
}

// joined is a write that joins others.
type joined struct {
	ready, free chan struct{} // Not nil: it says that it is being prepared, and waits.
	keys        []string
	err         error
	panics      bool
	ended       chan error
}

func (j *joined) joins() bool { return true }

func (j *joined) prepare(batch *pebble.Batch) error {
	if j.free != nil {
		close(j.ready)
		<-j.free
	}
	for _, key := range j.keys {
		if err := batch.Set([]byte(key), []byte("value"), nil); err != nil {
			return err
		}
	}
	if j.panics {
		panic("a fault")
	}
	return j.err
}

func (j *joined) end(err error) { j.ended <- err }

// Writes that wait are one commit, and one that fails leaves nothing in it.
func TestWritesJoin(t *testing.T) {
	t.Parallel()
	e := open(t, vfs.NewCrashableMem())
	before, err := readCommit(e.db)
	if err != nil {
		t.Fatal(err)
	}
	writes := []*joined{
		{ready: make(chan struct{}), free: make(chan struct{}), keys: []string{"zz1", "zz2"}},
		{keys: []string{"zz3", "zz4"}, err: engine.ErrFull},
		{keys: []string{"zz5"}},
		{keys: []string{"zz6"}, panics: true},
		{},
		{keys: []string{"zz7"}},
	}
	for i, w := range writes {
		w.ended = make(chan error, 1)
		if err := e.committer.begin(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			<-w.ready // The others come meanwhile.
		}
	}
	close(writes[0].free)
	for i, w := range writes {
		if err := <-w.ended; (err != nil) != (w.err != nil || w.panics) {
			t.Errorf("write %d: %v", i, err)
		}
		for _, key := range w.keys {
			_, closer, err := e.db.Get([]byte(key))
			if err == nil {
				_ = closer.Close()
			}
			if stored := err == nil; stored == (w.err != nil || w.panics) {
				t.Errorf("write %d: %s is stored: %t", i, key, stored)
			}
		}
	}
	if after, err := readCommit(e.db); err != nil || after != before+1 {
		t.Errorf("commit %d, %v, after %d", after, err, before)
	}
}
