package local

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"example.com/tidings/server/internal/engine"
)

func TestAppendAndReadAcrossACrash(t *testing.T) {
	e := open(t, vfs.NewCrashableMem())
	topic := newTopic(t, e, "orders", nil)
	first := put(t, e, topic, keyedEvent{"1", "a", "one"}, keyedEvent{"2", "b", "two"})
	second := put(t, e, topic, keyedEvent{"3", "a", "three"})
	if first.First != 1 || second.First != 3 || first.Duplicate {
		t.Fatalf("at %+v and %+v", first, second)
	}
	check := func(e *Engine) {
		t.Helper()
		topic, err := e.Topic(t.Context(), "orders")
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, record := range readAll(t, e, topic, engine.ReadFrom{Sequence: 2}) {
			texts = append(texts, textsOf(t, record)...)
		}
		if want := []string{"one", "two", "three"}; !slices.Equal(texts, want) {
			t.Errorf("read %q", texts)
		}
		again := put(t, e, topic, keyedEvent{"1", "a", "one"}, keyedEvent{"2", "b", "two"})
		if !again.Duplicate || again.First != 1 {
			t.Errorf("again at %+v", again)
		}
		var conflict *engine.ConflictError
		_, err = appendTo(t.Context(), e, topic, batchOf(t, keyedEvent{"3", "a", "another"}))
		if !errors.As(err, &conflict) || conflict.Sequence != 3 || conflict.Hash != hashOf("three|") {
			t.Errorf("other content: %v", err)
		}
		if state, err := e.State(t.Context(), topic); err != nil || state.First != 1 || state.End != 4 {
			t.Errorf("state %+v, %v", state, err)
		}
	}
	check(e)
	check(reopen(t, e))
}

func TestOnlyFreshEventsAreStored(t *testing.T) {
	e := open(t, vfs.NewCrashableMem())
	topic := newTopic(t, e, "orders", byEvent)
	put(t, e, topic, keyedEvent{"1", "a", "one"}, keyedEvent{"2", "b", "two"})
	mixed := put(t, e, topic, keyedEvent{"0", "", "zero"}, keyedEvent{"2", "b", "two"}, keyedEvent{"3", "c", "three"})
	want := []engine.Place{{Sequence: 3}, {Sequence: 2, Duplicate: true}, {Sequence: 4}}
	if !slices.Equal(mixed.Each, want) || mixed.Duplicate {
		t.Fatalf("at %+v", mixed)
	}
	record, err := e.Get(t.Context(), topic, 4)
	if err != nil || record.First != 3 || !slices.Equal(textsOf(t, record), []string{"zero", "three"}) {
		t.Errorf("the record is %+v, %v", record, err)
	}
	for _, key := range []struct {
		key  string
		last int64
	}{{"a", 1}, {"b", 2}, {"c", 4}, {"", 0}, {"d", 0}} {
		b := batchOf(t, keyedEvent{"4", "d", "four"})
		b.Expect = []engine.Expectation{{Last: 4}, {Key: "d", Last: 0}, {Key: key.key, Last: key.last + 1}}
		var mismatch *engine.SequenceError
		_, err := appendTo(t.Context(), e, topic, b)
		if key.key == "" {
			key.last = 4
			b.Expect[2].Last = 5
			_, err = appendTo(t.Context(), e, topic, b)
		}
		if !errors.As(err, &mismatch) || mismatch.Expectation != 2 || mismatch.Actual != key.last {
			t.Errorf("key %q: %v", key.key, err)
		}
	}
}

// Who is told of a conflict is told of all, and needn't ask for each.
func TestConflictsOfABatch(t *testing.T) {
	e := open(t, vfs.NewCrashableMem())
	topic := newTopic(t, e, "orders", byEvent)
	put(t, e, topic, keyedEvent{"a", "", "a"}, keyedEvent{"b", "", "b"}, keyedEvent{"c", "", "c"})
	again := batchOf(t, keyedEvent{"new", "", "new"}, keyedEvent{"c", "", "other"}, keyedEvent{"b", "", "b"}, keyedEvent{"a", "", "other"})
	_, err := appendTo(t.Context(), e, topic, again)
	var conflict *engine.ConflictError
	want := &engine.ConflictError{Event: 1, Sequence: 3, Hash: hashOf("c"), Others: []engine.ConflictError{{Event: 3, Sequence: 1, Hash: hashOf("a")}}}
	if !errors.As(err, &conflict) || !reflect.DeepEqual(conflict, want) {
		t.Fatalf("%+v, want %+v", err, want)
	}
	again.Events[1].Hash, again.Events[3].Hash = hashOf("c"), hashOf("a")
	appended, err := appendTo(t.Context(), e, topic, again)
	places := []engine.Place{{Sequence: 4}, {Sequence: 3, Duplicate: true}, {Sequence: 2, Duplicate: true}, {Sequence: 1, Duplicate: true}}
	if err != nil || !slices.Equal(appended.Each, places) {
		t.Errorf("%+v, %v", appended, err)
	}
}

// What is under way, and so what an append waits for, is bounded.
func TestAppendsUnderWayAreBounded(t *testing.T) {
	e := open(t, vfs.NewMem())
	topic := newTopic(t, e, "orders", nil)
	held, released := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(released) })
	t.Cleanup(release) // Closing the storage waits for it.
	ended := make(chan error, 1)
	go func() {
		ended <- e.committer.do(context.WithoutCancel(t.Context()), func(*pebble.Batch) error {
			close(held)
			<-released
			return nil
		}, nil)
	}()
	<-held
	waits, cancel := context.WithCancel(t.Context())
	cancel() // What has to wait for room fails.
	text := strings.Repeat("x", 1<<20)
	var begun []engine.Append
	for {
		a, err := e.Start(waits, topic, batchOf(t, keyedEvent{fmt.Sprint(len(begun)), "", text}), nil)
		if errors.Is(err, context.Canceled) {
			break
		}
		if err != nil || len(begun) == 1000 {
			t.Fatal(len(begun), err)
		}
		begun = append(begun, a)
	}
	if len(begun) != 15 { // Of somewhat more than 1 MiB.
		t.Errorf("%d MiB are under way at a time, want less than 16", len(begun))
	}
	release()
	for _, a := range begun {
		if _, err := a.Wait(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	put(t, e, topic, keyedEvent{"another", "", text})
}
