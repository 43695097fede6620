package local

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/tidings/server/internal/engine"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

func retain(maxBytes int64, maxAge time.Duration) func(*storagev1.TopicConfig) {
	return func(config *storagev1.TopicConfig) {
		config.Retention = &optionsv1.Retention{MaxBytes: maxBytes}
		if maxAge != 0 {
			config.Retention.MaxAge = durationpb.New(maxAge)
		}
	}
}

func stateOf(t testing.TB, e *Engine, topic *engine.Topic) engine.State {
	t.Helper()
	state, err := e.State(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func reconfigure(t *testing.T, e *Engine, topic *engine.Topic, change func(*storagev1.TopicConfig)) *engine.Topic {
	t.Helper()
	config := proto.CloneOf(topic.Config)
	change(config)
	topic, err := e.UpdateTopic(t.Context(), topic, config)
	if err != nil {
		t.Fatal(err)
	}
	return topic
}

func TestRetentionBySize(t *testing.T) {
	e := open(t, vfs.NewCrashableMem())
	const size, records = 10_000, 5000
	topic := newTopic(t, e, "orders", retain(size, 0))
	putMany(t, e, topic, 0, records)
	await(t, "the size", func() bool { return stateOf(t, e, topic).Bytes <= size })
	state := stateOf(t, e, topic)
	if state.Bytes < size/2 || state.End != records+1 {
		t.Fatalf("too much is gone: %+v", state)
	}
	check := func(e *Engine) {
		t.Helper()
		topic, err := e.Topic(t.Context(), "orders")
		if err != nil {
			t.Fatal(err)
		}
		// What was removed last may come back with a crash, for a moment.
		await(t, "the size", func() bool { return stateOf(t, e, topic).Bytes <= size })
		settle(t, e)
		now := stateOf(t, e, topic)
		if now.First != state.First || now.End != state.End || now.Bytes != state.Bytes || !now.LastTime.Equal(state.LastTime) {
			t.Errorf("state %+v, was %+v", now, state)
		}
		left := readAll(t, e, topic, engine.ReadFrom{Sequence: 1})
		if int64(len(left)) != state.End-state.First || left[0].First != state.First {
			t.Errorf("%d records from %d", len(left), left[0].First)
		}
		if events, exact, err := e.Count(t.Context(), topic, 0); err != nil || !exact || events != int64(len(left)) {
			t.Errorf("count %d, %v, %v", events, exact, err)
		}
		// The index has what is left, and nothing else.
		indexed := 0
		for key := range 3 {
			for _, record := range readAll(t, e, topic, engine.ReadFrom{Key: fmt.Sprint("k", key)}) {
				if (record.First-1)%3 != int64(key) {
					t.Errorf("key %d has %d", key, record.First)
				}
				indexed++
			}
		}
		if indexed != len(left) || countKeys(t, e, kindRecord, topic.Config.GetUid()) != len(left) {
			t.Errorf("%d records are left, and %d in the index", len(left), indexed)
		}
		if _, err := e.Get(t.Context(), topic, state.First-1); !errors.Is(err, engine.ErrRecordNotFound) {
			t.Errorf("before the first: %v", err)
		}
		// Identities outlive the records.
		again := put(t, e, topic, keyedEvent{"many-0", "k0", "0"})
		if !again.Duplicate || again.First != 1 {
			t.Errorf("again at %+v", again)
		}
		_, err = appendTo(t.Context(), e, topic, batchOf(t, keyedEvent{"many-0", "k0", "other"}))
		if !errors.Is(err, engine.ErrConflict) {
			t.Errorf("other content: %v", err)
		}
	}
	check(e)
	check(reopen(t, e))
}

func TestTheNewestRecordStays(t *testing.T) {
	e := open(t, vfs.NewCrashableMem())
	topic := newTopic(t, e, "orders", retain(1000, 0))
	put(t, e, topic, keyedEvent{"1", "", "small"})
	put(t, e, topic, keyedEvent{"2", "", strings.Repeat("large", 1000)})
	await(t, "the older record", func() bool { return stateOf(t, e, topic).First == 2 })
	put(t, e, topic, keyedEvent{"3", "", "small"})
	await(t, "the large record", func() bool { return stateOf(t, e, topic).First == 3 })
	if state := stateOf(t, e, topic); state.End != 4 || state.Bytes > 1000 {
		t.Errorf("state %+v", state)
	}
}

func TestRetentionByAge(t *testing.T) {
	e := open(t, vfs.NewCrashableMem())
	topic := newTopic(t, e, "orders", byEvent)
	put(t, e, topic, keyedEvent{"1", "a", "one"}, keyedEvent{"2", "b", "two"})
	putMany(t, e, topic, 0, 100)
	last := stateOf(t, e, topic)
	topic = reconfigure(t, e, topic, retain(0, time.Millisecond)) // By now everything is older.
	await(t, "an empty topic", func() bool { state := stateOf(t, e, topic); return state.First == state.End })
	await(t, "no identities", func() bool {
		uid := topic.Config.GetUid()
		return countKeys(t, e, kindIdentity, uid)+countKeys(t, e, kindExpiry, uid)+countKeys(t, e, kindBucket, uid)+countKeys(t, e, kindRecord, uid) == 0
	})
	e = reopen(t, e)
	topic, err := e.Topic(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	state := stateOf(t, e, topic)
	if state.End != 103 || state.First != 103 || state.Bytes != 0 || !state.LastTime.Equal(last.LastTime) {
		t.Errorf("state %+v", state)
	}
	if latest, err := e.Latest(t.Context(), topic); err != nil || latest != 102 {
		t.Errorf("latest %d, %v", latest, err)
	}
	topic = reconfigure(t, e, topic, retain(0, time.Hour))
	b := batchOf(t, keyedEvent{"1", "a", "another one"})
	b.Expect = []engine.Expectation{{Last: 102}, {Key: "a", Last: 0}}
	if appended, err := appendTo(t.Context(), e, topic, b); err != nil || appended.Of(0) != (engine.Place{Sequence: 103}) {
		t.Errorf("after all is gone: %+v, %v", appended, err)
	}
	if got := readAll(t, e, topic, engine.ReadFrom{Sequence: 50}); len(got) != 1 || got[0].First != 103 {
		t.Errorf("read %+v", got)
	}
}

// An identity that was stored again is not forgotten with the first.
func TestForgetLeavesWhatWasStoredAgain(t *testing.T) {
	e := open(t, vfs.NewCrashableMem())
	topic := newTopic(t, e, "orders", byEvent)
	put(t, e, topic, keyedEvent{"1", "", "one"}, keyedEvent{"2", "", "two"})
	state, err := e.topicLog(topic)
	if err != nil {
		t.Fatal(err)
	}
	e.retention.close() // Now only this test forgets.
	topic = reconfigure(t, e, topic, func(config *storagev1.TopicConfig) { config.DedupeWindow = durationpb.New(time.Nanosecond) })
	again := put(t, e, topic, keyedEvent{"1", "", "again"})
	if again.Of(0) != (engine.Place{Sequence: 3}) {
		t.Fatalf("again at %+v", again)
	}
	topic = reconfigure(t, e, topic, func(config *storagev1.TopicConfig) { config.DedupeWindow = durationpb.New(time.Hour) })
	record, err := e.Get(t.Context(), topic, 3)
	if err != nil {
		t.Fatal(err)
	}
	now := record.Time.Add(time.Hour - time.Nanosecond) // The first ones are too old, the second isn't.
	if first, err := e.Get(t.Context(), topic, 1); err != nil || !first.Time.Before(record.Time) {
		t.Skip("the clock stood still")
	}
	if _, err := e.forget(t.Context(), state, now); err != nil {
		t.Fatal(err)
	}
	if uid := state.uid; countKeys(t, e, kindIdentity, uid) != 1 || countKeys(t, e, kindExpiry, uid) != 1 {
		t.Errorf("%d identities, stored %d times", countKeys(t, e, kindIdentity, uid), countKeys(t, e, kindExpiry, uid))
	}
	_, err = appendTo(t.Context(), e, topic, batchOf(t, keyedEvent{"1", "", "one"}))
	var conflict *engine.ConflictError
	if !errors.As(err, &conflict) || conflict.Sequence != 3 {
		t.Errorf("with the first content: %v", err)
	}
}

func TestStepsOfRetention(t *testing.T) {
	e := open(t, vfs.NewCrashableMem())
	topic := newTopic(t, e, "orders", nil)
	putMany(t, e, topic, 0, 2*maxDropped+500)
	e.retention.close()
	topic = reconfigure(t, e, topic, retain(1, 0))
	state, err := e.topicLog(topic)
	if err != nil {
		t.Fatal(err)
	}
	for step, want := range []int64{maxDropped + 1, 2*maxDropped + 1, 2*maxDropped + 500} {
		more, err := e.dropOld(t.Context(), state, time.Now())
		if err != nil || more != (step < 2) {
			t.Fatalf("step %d: %v, %v", step, more, err)
		}
		if now := stateOf(t, e, topic); now.First != want {
			t.Errorf("step %d: the first is %d, want %d", step, now.First, want)
		}
	}
}
