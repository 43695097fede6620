package enginetest

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"example.com/tidings/server/internal/engine"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
)

func testExpectations(t *testing.T, storage Storage) {
	e := opened(t, storage)
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			testTopicExpectation(t, e, kind)
			testExpectedAtOnce(t, e, kind)
			testKeyExpectation(t, e, kind)
			testManyExpectations(t, e, kind)
			testExistence(t, e, kind)
			testKeyExistence(t, e, kind)
			testAlone(t, e, kind)
		})
		t.Run(name+"/retention", func(t *testing.T) { t.Parallel(); testExpectedAfterRetention(t, e, kind) })
	}
}

func wantMismatch(t *testing.T, err error, want engine.SequenceError) {
	t.Helper()
	wantErr(t, err, engine.ErrSequence)
	var mismatch *engine.SequenceError
	if !errors.As(err, &mismatch) || *mismatch != want {
		t.Errorf("the mismatch is %+v, want %+v", mismatch, want)
	}
}

func testTopicExpectation(t *testing.T, e engine.Engine, kind optionsv1.Dedupe) {
	t.Helper()
	topic := newTopic(t, e, fmt.Sprint("expecting-", int(kind)), dedupe(kind))
	_, err := store(t, e, topic, expecting(encode(events("0")...), "", e.Features().FirstSequence))
	wantMismatch(t, err, engine.SequenceError{})
	first := stored(t, e, topic, expecting(encode(events("1", "2", "3")...), "", 0))
	last := first[2]
	// Neither an event that isn't the last, nor one that never was.
	for _, wrong := range []int64{0, 1, first[1], last + 1, last + 4096, math.MaxInt64} {
		for _, ids := range [][]string{{"4"}, {"4", "5"}} {
			_, err := store(t, e, topic, expecting(encode(events(ids...)...), "", wrong))
			wantMismatch(t, err, engine.SequenceError{Actual: last})
		}
	}
	second := stored(t, e, topic, expecting(encode(events("4", "5")...), "", last))
	third := stored(t, e, topic, expecting(encode(events("6")...), "", second[1]))
	// What is stored already expects nothing.
	wantDuplicate(t, e, topic, expecting(encode(events("1", "2", "3")...), "", 0), first...)
	wantDuplicate(t, e, topic, expecting(encode(events("4", "5")...), "", last), second...)
	wantDuplicate(t, e, topic, expecting(encode(events("6")...), "", second[1]), third...)
	if list := all(t, e, topic); len(list) != 6 {
		t.Errorf("there are %v", list)
	}
	if kind != optionsv1.Dedupe_DEDUPE_EVENT {
		return
	}
	// Where a part is, what is expected has to hold for the rest.
	_, err = store(t, e, topic, expecting(encode(events("5", "7")...), "", second[1]))
	wantMismatch(t, err, engine.SequenceError{Actual: third[0]})
	appended, err := store(t, e, topic, expecting(encode(events("5", "7")...), "", third[0]))
	noErr(t, err)
	if appended.Each[0] != (engine.Place{Sequence: second[1], Duplicate: true}) || appended.Each[1].Duplicate {
		t.Errorf("they are at %v", appended.Each)
	}
}

// Of many who expect the same, one is stored.
func testExpectedAtOnce(t *testing.T, e engine.Engine, kind optionsv1.Dedupe) {
	t.Helper()
	topic := newTopic(t, e, fmt.Sprint("race-", int(kind)), dedupe(kind))
	last := stored(t, e, topic, encode(events("1", "2")...))[1]
	ctx := testContext(t)
	const writers = 8
	won := 0
	for _, err := range together(writers, func(i int) error {
		id := fmt.Sprint("writer", i)
		started, err := e.Start(ctx, topic, expecting(encode(events(id, id+"+")[:1+i%2]...), "", last), nil)
		if err == nil {
			_, err = started.Wait(ctx)
		}
		return err
	}) {
		if err == nil {
			won++
		} else {
			wantErr(t, err, engine.ErrSequence)
		}
	}
	if won != 1 {
		t.Errorf("%d writers won", won)
	}
}

func testKeyExpectation(t *testing.T, e engine.Engine, kind optionsv1.Dedupe) {
	t.Helper()
	topic := newTopic(t, e, fmt.Sprint("keys-", int(kind)), dedupe(kind))
	if kind != optionsv1.Dedupe_DEDUPE_EVENT && !e.Features().KeyPreconditions {
		_, err := store(t, e, topic, expecting(mine("1"), "mine", 0))
		wantErr(t, err, engine.ErrUnsupported)
		return
	}
	stored(t, e, topic, encode(event{"a", "other", ""}, event{"b", "", ""}))
	_, err := store(t, e, topic, expecting(mine("1"), "mine", 4096))
	wantMismatch(t, err, engine.SequenceError{})
	first := stored(t, e, topic, expecting(mine("1", "2"), "mine", 0))
	stored(t, e, topic, encode(event{"c", "other", ""}))
	for _, wrong := range []int64{0, first[0], first[1] + 1} {
		for _, ids := range [][]string{{"3"}, {"3", "4"}} {
			_, err := store(t, e, topic, expecting(mine(ids...), "mine", wrong))
			wantMismatch(t, err, engine.SequenceError{Actual: first[1]})
		}
	}
	second := stored(t, e, topic, expecting(mine("3"), "mine", first[1]))
	wantDuplicate(t, e, topic, expecting(mine("3"), "mine", first[1]), second...)
	wantDuplicate(t, e, topic, expecting(mine("1", "2"), "mine", 0), first...)
	// What is expected may be about a key that the batch doesn't write to.
	stored(t, e, topic, expecting(encode(event{"d", "other", ""}), "mine", second[0]))
	_, err = store(t, e, topic, expecting(encode(event{"e", "other", ""}), "mine", first[1]))
	wantMismatch(t, err, engine.SequenceError{Actual: second[0]})
}

func testManyExpectations(t *testing.T, e engine.Engine, kind optionsv1.Dedupe) {
	t.Helper()
	topic := newTopic(t, e, fmt.Sprint("several-", int(kind)), dedupe(kind))
	batch := func(id string, topicLast, keyLast int64) *engine.Batch {
		return expecting(expecting(encode(event{id, "k", ""}), "", topicLast), "k", keyLast)
	}
	if !e.Features().ManyPreconditions || !e.Features().KeyPreconditions {
		_, err := store(t, e, topic, batch("1", 0, 0))
		wantErr(t, err, engine.ErrUnsupported)
		return
	}
	first := stored(t, e, topic, batch("1", 0, 0))[0]
	second := stored(t, e, topic, encode(event{"2", "other", ""}))[0]
	_, err := store(t, e, topic, batch("3", first, first))
	wantMismatch(t, err, engine.SequenceError{Expectation: 0, Actual: second})
	_, err = store(t, e, topic, batch("3", second, second))
	wantMismatch(t, err, engine.SequenceError{Expectation: 1, Actual: first})
	stored(t, e, topic, batch("3", second, first))
	_, err = store(t, e, topic, expectingSome(expectingSome(encode(events("4")...), ""), "nobody"))
	wantMismatch(t, err, engine.SequenceError{Expectation: 1})
	stored(t, e, topic, expecting(expectingSome(expectingSome(encode(events("4")...), ""), "k"), "nobody", 0))
}
