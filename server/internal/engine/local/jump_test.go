package local

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"example.com/tidings/server/internal/engine"
)

func TestJump(t *testing.T) {
	e := open(t, vfs.NewCrashableMem())
	used, empty := newTopic(t, e, "used", nil), newTopic(t, e, "empty", nil)
	put(t, e, used, keyedEvent{"1", "a", "one"}, keyedEvent{"2", "a", "two"})
	for range 2 {
		if err := e.jump(t.Context(), time.Unix(0, 0)); err != nil {
			t.Fatal(err)
		}
	}
	put(t, e, empty, keyedEvent{"1", "", "one"})
	if err := e.jump(t.Context(), time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	b := batchOf(t, keyedEvent{"3", "b", "three"})
	b.Expect = []engine.Expectation{{Last: 2}} // The last one that there is.
	// The clock is behind, so they go on by jumpBy.
	const second, third, last = 1 + 2*jumpBy, 3 + 3*jumpBy, 2 + 3*jumpBy
	if appended, err := appendTo(t.Context(), e, used, b); err != nil || appended.First != third {
		t.Fatalf("at %+v, %v", appended, err)
	}
	for range 2 {
		state := stateOf(t, e, used)
		if !slices.Equal(state.Holes, []engine.Hole{{First: 3, Next: third}}) || state.First != 1 || state.End != third+1 {
			t.Errorf("state %+v", state)
		}
		for position, holds := range map[int64]bool{0: true, 2: true, 3: false, third - 2: false, third - 1: true, third: true, third + 1: false} {
			if state.Holds(position) != holds {
				t.Errorf("holds %d: %v", position, !holds)
			}
		}
		if events, _, err := e.Count(t.Context(), used, 2); err != nil || events != 2 {
			t.Errorf("count %d, %v", events, err)
		}
		var firsts []int64
		for _, record := range readAll(t, e, used, engine.ReadFrom{Sequence: 1}) {
			firsts = append(firsts, record.First)
		}
		if !slices.Equal(firsts, []int64{1, third}) {
			t.Errorf("read %d", firsts)
		}
		if got := readAll(t, e, used, engine.ReadFrom{Sequence: 77}); len(got) != 1 || got[0].First != third {
			t.Errorf("from in the hole: %+v", got)
		}
		if _, err := e.Get(t.Context(), used, 77); !errors.Is(err, engine.ErrRecordNotFound) {
			t.Errorf("get in the hole: %v", err)
		}
		state = stateOf(t, e, empty)
		want := []engine.Hole{{First: 1, Next: second}, {First: second + 1, Next: last}}
		if !slices.Equal(state.Holes, want) || state.First != second || state.End != last {
			t.Errorf("state %+v", state)
		}
		record, err := e.Get(t.Context(), used, third)
		if err != nil {
			t.Fatal(err)
		}
		if at, err := e.FirstAt(t.Context(), used, record.Time); err != nil || at != third && at != 1 {
			t.Errorf("at its time: %d, %v", at, err)
		}
		e = reopen(t, e)
		if used, err = e.Topic(t.Context(), "used"); err != nil {
			t.Fatal(err)
		}
		if empty, err = e.Topic(t.Context(), "empty"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestJumpByTheClock(t *testing.T) {
	now := time.Now()
	at := beyond(7, now)
	if at < 1<<40 || at > 1<<53 {
		t.Errorf("sequences go on at %d", at)
	}
	if again := beyond(7, now.Add(time.Microsecond)); again != at+jumpRate {
		t.Errorf("then at %d instead of %d", again, at+jumpRate)
	}
	if again := beyond(at, now); again != at+jumpBy {
		t.Errorf("where the clock hasn't moved at %d instead of %d", again, at+jumpBy)
	}
}
