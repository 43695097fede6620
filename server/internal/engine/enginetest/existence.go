package enginetest

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/tidings/server/internal/engine"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
)

// expectingSome adds to a batch that there is an event.
func expectingSome(batch *engine.Batch, key string) *engine.Batch {
	batch.Expect = append(batch.Expect, engine.Expectation{Key: key, Some: true})
	return batch
}

// mine is a batch of events with the key "mine".
func mine(ids ...string) *engine.Batch {
	list := events(ids...)
	for i := range list {
		list[i].key = "mine"
	}
	return encode(list...)
}

func testExistence(t *testing.T, e engine.Engine, kind optionsv1.Dedupe) {
	t.Helper()
	topic := newTopic(t, e, fmt.Sprint("existence-", int(kind)), dedupe(kind))
	_, err := store(t, e, topic, expectingSome(encode(events("1")...), ""))
	wantMismatch(t, err, engine.SequenceError{})
	_, err = store(t, e, topic, expectingSome(encode(events("1", "2")...), ""))
	wantMismatch(t, err, engine.SequenceError{})
	first := stored(t, e, topic, expecting(encode(events("1", "2")...), "", 0))
	second := stored(t, e, topic, expectingSome(encode(events("3")...), ""))
	stored(t, e, topic, expectingSome(encode(events("4", "5")...), ""))
	// What is stored already expects nothing.
	wantDuplicate(t, e, topic, expecting(encode(events("1", "2")...), "", 0), first...)
	wantDuplicate(t, e, topic, expectingSome(encode(events("3")...), ""), second...)
}

func testKeyExistence(t *testing.T, e engine.Engine, kind optionsv1.Dedupe) {
	t.Helper()
	topic := newTopic(t, e, fmt.Sprint("key-existence-", int(kind)), dedupe(kind))
	if kind != optionsv1.Dedupe_DEDUPE_EVENT && !e.Features().KeyPreconditions {
		_, err := store(t, e, topic, expectingSome(mine("1"), "mine"))
		wantErr(t, err, engine.ErrUnsupported)
		return
	}
	stored(t, e, topic, encode(event{"a", "other", ""}, event{"b", "", ""}))
	_, err := store(t, e, topic, expectingSome(mine("1", "2"), "mine"))
	wantMismatch(t, err, engine.SequenceError{})
	first := stored(t, e, topic, expecting(mine("1", "2"), "mine", 0))
	_, err = store(t, e, topic, expecting(mine("3"), "mine", 0))
	wantMismatch(t, err, engine.SequenceError{Actual: first[1]})
	stored(t, e, topic, expectingSome(mine("3"), "mine"))
	stored(t, e, topic, expectingSome(mine("4", "5"), "mine"))
}

// Where there are no events, what is expected is looked at all the same.
func testAlone(t *testing.T, e engine.Engine, kind optionsv1.Dedupe) {
	t.Helper()
	topic := newTopic(t, e, fmt.Sprint("alone-", int(kind)), dedupe(kind))
	check := func(batch *engine.Batch) error {
		_, err := store(t, e, topic, batch)
		return err
	}
	noErr(t, check(encode()))
	noErr(t, check(expecting(encode(), "", 0)))
	wantMismatch(t, check(expectingSome(encode(), "")), engine.SequenceError{})
	wantMismatch(t, check(expecting(encode(), "", e.Features().FirstSequence)), engine.SequenceError{})
	sequences := stored(t, e, topic, mine("1", "2"))
	noErr(t, check(encode()))
	noErr(t, check(expectingSome(encode(), "")))
	noErr(t, check(expecting(encode(), "", sequences[1])))
	for _, wrong := range []int64{0, sequences[0], sequences[1] + 1} {
		wantMismatch(t, check(expecting(encode(), "", wrong)), engine.SequenceError{Actual: sequences[1]})
	}
	if kind == optionsv1.Dedupe_DEDUPE_EVENT || e.Features().KeyPreconditions {
		noErr(t, check(expectingSome(encode(), "mine")))
		noErr(t, check(expecting(encode(), "mine", sequences[1])))
		wantMismatch(t, check(expecting(encode(), "mine", 0)), engine.SequenceError{Actual: sequences[1]})
		wantMismatch(t, check(expectingSome(encode(), "other")), engine.SequenceError{})
	}
	if list := all(t, e, topic); len(list) != 2 {
		t.Errorf("there are %v", list)
	}
}

// Retention leaves the last sequence of a topic, and nothing of a key.
func testExpectedAfterRetention(t *testing.T, e engine.Engine, kind optionsv1.Dedupe) {
	t.Helper()
	ofKey := kind == optionsv1.Dedupe_DEDUPE_EVENT || e.Features().KeyPreconditions
	for name, next := range map[string]func(topic *engine.Topic, last int64){
		"last": func(topic *engine.Topic, last int64) {
			for _, wrong := range []int64{last - 1, last + 1} {
				if kind == optionsv1.Dedupe_DEDUPE_REQUEST && e.Features().FirstSequence > 1 {
					wrong += 4096 // Of a record that is gone, any event may be the last.
				}
				_, err := store(t, e, topic, expecting(mine("3"), "", wrong))
				wantErr(t, err, engine.ErrSequence)
			}
			noErr(t, alone(t, e, topic, engine.Expectation{Last: last}))
			stored(t, e, topic, expecting(mine("3"), "", last))
		},
		"none": func(topic *engine.Topic, _ int64) {
			_, err := store(t, e, topic, expectingSome(mine("3"), ""))
			wantMismatch(t, err, engine.SequenceError{})
			noErr(t, alone(t, e, topic, engine.Expectation{}))
			stored(t, e, topic, expecting(mine("3"), "", 0))
		},
		"none of a key": func(topic *engine.Topic, last int64) {
			if !ofKey {
				return
			}
			_, err := store(t, e, topic, expectingSome(mine("3"), "mine"))
			wantMismatch(t, err, engine.SequenceError{})
			_, err = store(t, e, topic, expecting(mine("3"), "mine", last))
			wantMismatch(t, err, engine.SequenceError{})
			stored(t, e, topic, expecting(mine("3"), "mine", 0))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			topic := newTopic(t, e, fmt.Sprintf("gone-%d-%d", kind, uids.Add(1)), dedupe(kind), retention(&optionsv1.Retention{MaxAge: durationpb.New(time.Second)}))
			last := stored(t, e, topic, mine("1", "2"))[1]
			until(t, "retention removes all", func() bool {
				state, err := e.State(testContext(t), topic)
				noErr(t, err)
				return state.First == state.End
			})
			next(topic, last)
		})
	}
}

// alone looks at one expectation.
func alone(t *testing.T, e engine.Engine, topic *engine.Topic, expectation engine.Expectation) error {
	t.Helper()
	batch := encode()
	batch.Expect = []engine.Expectation{expectation}
	_, err := store(t, e, topic, batch)
	return err
}
