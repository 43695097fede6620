package enginetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/tidings/server/internal/engine"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

func testRecords(t *testing.T, storage Storage) {
	e := opened(t, storage)
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			topic := newTopic(t, e, fmt.Sprint("records-", int(kind)), dedupe(kind))
			testEmpty(t, e, topic)
			testState(t, e, topic)
		})
	}
}

func testEmpty(t *testing.T, e engine.Engine, topic *engine.Topic) {
	t.Helper()
	ctx := testContext(t)
	first := e.Features().FirstSequence
	state, err := e.State(ctx, topic)
	noErr(t, err)
	if state.First != first || state.End != first || !state.LastTime.IsZero() || len(state.Holes) > 0 || state.Holds(first) || !state.Holds(first-1) {
		t.Errorf("the state of nothing is %+v", state)
	}
	if latest, err := e.Latest(ctx, topic); err != nil || latest != 0 {
		t.Errorf("the latest of nothing is %d, %v", latest, err)
	}
	for _, at := range []time.Time{{}, time.Now(), time.Now().Add(time.Hour)} {
		if got, err := e.FirstAt(ctx, topic, at); err != nil || got != first {
			t.Errorf("the first of nothing is %d, %v", got, err)
		}
	}
	for _, from := range []int64{0, first, first + 1} {
		if count, exact, err := e.Count(ctx, topic, from); err != nil || count != 0 || !exact {
			t.Errorf("from %d on there are %d, %t, %v", from, count, exact, err)
		}
	}
	for _, sequence := range []int64{0, 1, first, 1 << 62} {
		_, err := e.Get(ctx, topic, sequence)
		wantErr(t, err, engine.ErrRecordNotFound)
	}
}

func testState(t *testing.T, e engine.Engine, topic *engine.Topic) {
	t.Helper()
	ctx := testContext(t)
	begun := time.Now()
	early := stored(t, e, topic, encode(events("1", "2", "3")...))
	before, err := e.State(ctx, topic)
	noErr(t, err)
	late := stored(t, e, topic, encode(events("4", "5")...))
	state, err := e.State(ctx, topic)
	noErr(t, err)
	switch {
	case state.First > early[0] || state.First < e.Features().FirstSequence:
		t.Errorf("it begins at %d, not at %d", state.First, early[0])
	case state.End <= late[1] || before.End <= early[2] || before.End > late[0]:
		t.Errorf("it ends at %d, before at %d; the events are at %d and %d", state.End, before.End, early, late)
	case state.Bytes <= before.Bytes || before.Bytes <= 0:
		t.Errorf("it takes %d bytes, before %d", state.Bytes, before.Bytes)
	case state.LastTime.Before(before.LastTime) || before.LastTime.Before(begun.Add(-time.Minute)):
		t.Errorf("the last was stored at %s, before at %s", state.LastTime, before.LastTime)
	case !state.Holds(late[1]) || !state.Holds(state.End-1) || state.Holds(state.End):
		t.Errorf("%+v holds the wrong positions", state)
	}
	if latest, err := e.Latest(ctx, topic); err != nil || latest != late[1] {
		t.Errorf("the latest is %d, %v; want %d", latest, err, late[1])
	}
	sequences := slices.Concat(early, late)
	for i, sequence := range sequences {
		record, err := e.Get(ctx, topic, sequence)
		noErr(t, err)
		if at := slices.Index(inside(t, record), found{sequence, fmt.Sprint(i + 1)}); at < 0 || record.Last < sequence {
			t.Errorf("the record of event %d is from %d to %d", sequence, record.First, record.Last)
		}
		if count, exact, err := e.Count(ctx, topic, sequence); err != nil || count != int64(len(sequences)-i) || !exact {
			t.Errorf("from %d on there are %d, %t, %v", sequence, count, exact, err)
		}
	}
	for _, sequence := range []int64{early[0] - 1, late[1] + 1} {
		_, err := e.Get(ctx, topic, sequence)
		wantErr(t, err, engine.ErrRecordNotFound)
	}
	if count, exact, err := e.Count(ctx, topic, state.End); err != nil || count != 0 || !exact {
		t.Errorf("from the end on there are %d, %t, %v", count, exact, err)
	}
	testTimes(t, e, topic, sequences)
}

// The times of records say from which on to read.
func testTimes(t *testing.T, e engine.Engine, topic *engine.Topic, sequences []int64) {
	t.Helper()
	ctx := testContext(t)
	// Its clock may stand still for a moment.
	last, err := e.Get(ctx, topic, sequences[len(sequences)-1])
	noErr(t, err)
	until(t, "the clock goes on", func() bool { return time.Since(last.Time) > 2*time.Millisecond })
	after := time.Now()
	until(t, "the clock goes on", func() bool { return time.Since(after) > 2*time.Millisecond })
	newest := stored(t, e, topic, encode(events("newest")...))[0]
	state, err := e.State(ctx, topic)
	noErr(t, err)
	for at, want := range map[time.Time]int64{
		{}:                              sequences[0],
		time.Now().Add(-time.Hour):      sequences[0],
		last.Time:                       last.First,
		last.Time.Add(time.Microsecond): newest,
		after:                           newest,
		time.Now().Add(time.Hour):       state.End,
	} {
		got, err := e.FirstAt(ctx, topic, at)
		noErr(t, err)
		if at.Equal(last.Time) { // Others may have been stored at the same time.
			record, err := e.Get(ctx, topic, got)
			noErr(t, err)
			if !record.Time.Equal(at) {
				t.Errorf("the first at %s is %d, of %s", at, got, record.Time)
			}
			continue
		}
		if got != want {
			t.Errorf("the first at %s is %d, want %d", at, got, want)
		}
	}
}

func testRetention(t *testing.T, storage Storage) {
	e := opened(t, storage)
	for name, kind := range kinds {
		t.Run(name+"/age", func(t *testing.T) { t.Parallel(); testMaxAge(t, e, kind) })
		t.Run(name+"/bytes", func(t *testing.T) { t.Parallel(); testMaxBytes(t, e, kind) })
	}
}

func retention(r *optionsv1.Retention) func(*storagev1.TopicConfig) {
	return func(config *storagev1.TopicConfig) { config.Retention = r }
}

// untilRemoved waits until retention has removed an event.
func untilRemoved(t *testing.T, e engine.Engine, topic *engine.Topic, sequence int64) {
	t.Helper()
	until(t, "retention removes the first event", func() bool {
		state, err := e.State(testContext(t), topic)
		noErr(t, err)
		return state.First > sequence
	})
	_, err := e.Get(testContext(t), topic, sequence)
	wantErr(t, err, engine.ErrRecordNotFound)
}

func testMaxAge(t *testing.T, e engine.Engine, kind optionsv1.Dedupe) {
	t.Helper()
	ctx := testContext(t)
	topic := newTopic(t, e, fmt.Sprint("age-", int(kind)), dedupe(kind), retention(&optionsv1.Retention{MaxAge: durationpb.New(time.Second)}))
	first := stored(t, e, topic, encode(events("1", "2")...))
	last := stored(t, e, topic, encode(events("3", "4")...))[1]
	untilRemoved(t, e, topic, first[0])
	// All of a topic goes, or all but its newest record. What was the last event
	// is known all the same.
	until(t, "retention removes what it may", func() bool {
		count, _, err := e.Count(ctx, topic, 0)
		noErr(t, err)
		return count <= 2
	})
	state, err := e.State(ctx, topic)
	noErr(t, err)
	if state.First <= first[1] || state.End <= last || !state.Holds(last) {
		t.Errorf("it holds %+v, the last is %d", state, last)
	}
	if latest, err := e.Latest(ctx, topic); err != nil || latest > last || latest < last-1 {
		t.Errorf("the latest is %d, %v; want %d", latest, err, last)
	}
	next := stored(t, e, topic, expecting(encode(events("5")...), "", last))[0]
	if list := all(t, e, topic); next <= last || list[len(list)-1] != (found{next, "5"}) {
		t.Errorf("there are %v", list)
	}
}

func testMaxBytes(t *testing.T, e engine.Engine, kind optionsv1.Dedupe) {
	t.Helper()
	ctx := testContext(t)
	const each = 16 << 10
	topic := newTopic(t, e, fmt.Sprint("bytes-", int(kind)), dedupe(kind), retention(&optionsv1.Retention{MaxBytes: 4 * each}))
	var sequences []int64
	for i := range 12 {
		sequences = append(sequences, stored(t, e, topic, encode(event{fmt.Sprint(i), "", strings.Repeat("x", each)}))...)
	}
	untilRemoved(t, e, topic, sequences[0])
	until(t, "retention removes what is too much", func() bool {
		state, err := e.State(ctx, topic)
		noErr(t, err)
		return state.Bytes <= 5*each
	})
	list := all(t, e, topic)
	state, err := e.State(ctx, topic)
	noErr(t, err)
	if len(list) < 2 || list[0].sequence < state.First || list[len(list)-1].sequence != sequences[11] {
		t.Errorf("there are %v, the first can be %d", list, state.First)
	}
	// What is removed counts as gone for those who read from there.
	reader, err := e.Read(ctx, topic, engine.ReadFrom{Sequence: sequences[1]})
	noErr(t, err)
	defer reader.Close()
	if record, err := reader.Next(ctx); err != nil || record.First != list[0].sequence {
		t.Errorf("reading begins at %d, %v; want %d", record.First, err, list[0].sequence)
	}
	// A bound that is lowered holds for what is there.
	changed := proto.CloneOf(topic.Config)
	changed.Retention = &optionsv1.Retention{MaxBytes: each / 8}
	if _, err = e.UpdateTopic(ctx, topic, changed); err != nil {
		t.Fatal(err)
	}
	untilRemoved(t, e, topic, list[0].sequence)
}
