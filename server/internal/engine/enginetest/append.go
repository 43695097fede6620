package enginetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"example.com/tidings/server/internal/engine"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
)

func testAppend(t *testing.T, storage Storage) {
	e := opened(t, storage)
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			topic := newTopic(t, e, strings.ReplaceAll(name, " ", "-"), dedupe(kind))
			testSequences(t, e, topic)
			testSizes(t, e, topic)
			testAbandoned(t, e, topic)
		})
	}
	t.Run("many events", func(t *testing.T) {
		topic := newTopic(t, e, "many", dedupe(optionsv1.Dedupe_DEDUPE_EVENT))
		most := e.Features().MaxEach
		var list []event
		for i := range most {
			list = append(list, event{id: fmt.Sprint(i)})
		}
		sequences := stored(t, e, topic, encode(list...))
		if !slices.IsSorted(sequences) || len(slices.Compact(slices.Clone(sequences))) != most {
			t.Error("their sequences don't increase")
		}
		wantDuplicate(t, e, topic, encode(list...), sequences...)
		if most < 4096 {
			_, err := store(t, e, topic, encode(append(list, event{id: "one more"})...))
			wantErr(t, err, engine.ErrUnsupported)
		}
	})
}

func testSequences(t *testing.T, e engine.Engine, topic *engine.Topic) {
	t.Helper()
	first := stored(t, e, topic, encode(events("1", "2", "3")...))
	if first[0] != e.Features().FirstSequence {
		t.Errorf("the first sequence is %d, not %d", first[0], e.Features().FirstSequence)
	}
	second := stored(t, e, topic, encode(events("4")...))
	third := stored(t, e, topic, encode(event{"5", "k", "x"}, event{"6", "", "y"}))
	sequences := slices.Concat(first, second, third)
	if !slices.IsSorted(sequences) || len(slices.Compact(slices.Clone(sequences))) != 6 {
		t.Errorf("sequences are %d", sequences)
	}
	var want []found
	for i, sequence := range sequences {
		want = append(want, found{sequence, fmt.Sprint(i + 1)})
	}
	if got := all(t, e, topic); !slices.Equal(got, want) {
		t.Errorf("there are %v, want %v", got, want)
	}
}

func testSizes(t *testing.T, e engine.Engine, topic *engine.Topic) {
	t.Helper()
	large := func(id string, size int) *engine.Batch {
		rest := size - len(encode(event{id: id, content: strings.Repeat("x", size/2)}).Data)
		return encode(event{id: id, content: strings.Repeat("x", size/2+rest)})
	}
	most := large("most", e.MaxRecordBytes())
	for len(most.Data) > e.MaxRecordBytes() { // A length that takes another byte.
		most = large("most", e.MaxRecordBytes()-1)
	}
	sequence := stored(t, e, topic, most)[0]
	record, err := e.Get(testContext(t), topic, sequence)
	noErr(t, err)
	if string(record.Data) != string(most.Data) {
		t.Errorf("what is stored differs: %d bytes of %d", len(record.Data), len(most.Data))
	}
	_, err = store(t, e, topic, large("too large", e.MaxRecordBytes()+1))
	wantErr(t, err, engine.ErrTooLarge)
}

// An append ends whether or not somebody waits.
func testAbandoned(t *testing.T, e engine.Engine, topic *engine.Topic) {
	t.Helper()
	for i, ids := range [][]string{{"alone"}, {"left", "behind"}} {
		ctx, cancel := context.WithCancel(t.Context())
		started, err := e.Start(ctx, topic, encode(events(ids...)...), nil)
		noErr(t, err)
		cancel()
		if _, err := started.Wait(ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("%d: %v", i, err)
		}
		for range 2 {
			appended, err := started.Wait(testContext(t))
			noErr(t, err)
			wantDuplicate(t, e, topic, encode(events(ids...)...), appended.Of(0).Sequence)
		}
	}
}

// Batches are stored in the order in which they were started.
func testOrder(t *testing.T, storage Storage) {
	e := opened(t, storage)
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			topic := newTopic(t, e, strings.ReplaceAll(name, " ", "-"), dedupe(kind))
			testOneCaller(t, e, topic)
			testManyCallers(t, e, topic)
		})
	}
}

func testOneCaller(t *testing.T, e engine.Engine, topic *engine.Topic) {
	t.Helper()
	ctx := testContext(t)
	const batches = 120
	var started []engine.Append
	var behind engine.Append
	var sent []*engine.Batch
	for i := range batches {
		var list []event
		for j := range 1 + i%3*(i%5) { // Some have one event, some several.
			list = append(list, event{id: fmt.Sprint(i, ".", j)})
		}
		batch := encode(list...)
		one, err := e.Start(ctx, topic, batch, behind)
		noErr(t, err)
		behind, started, sent = one, append(started, one), append(sent, batch)
	}
	last := int64(0)
	for i, one := range started {
		appended, err := one.Wait(ctx)
		noErr(t, err)
		for j := range sent[i].Events {
			if place := appended.Of(j); place.Sequence <= last || place.Duplicate {
				t.Fatalf("event %d.%d is at %+v, the one before at %d", i, j, place, last)
			} else {
				last = place.Sequence
			}
		}
	}
	if latest, err := e.Latest(ctx, topic); err != nil || latest != last {
		t.Errorf("the latest is %d, %v; want %d", latest, err, last)
	}
}

func testManyCallers(t *testing.T, e engine.Engine, topic *engine.Topic) {
	t.Helper()
	before := len(all(t, e, topic))
	ctx := testContext(t)
	const callers, batches = 8, 16
	for _, err := range together(callers, func(caller int) error {
		for i := range batches {
			id := fmt.Sprint("caller ", caller, ".", i)
			started, err := e.Start(ctx, topic, encode(events(id, id+"+")[:1+i%2]...), nil)
			if err == nil {
				_, err = started.Wait(ctx)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}) {
		noErr(t, err)
	}
	ids := make(map[string]int)
	list := all(t, e, topic)
	for _, one := range list[before:] {
		ids[one.id]++
	}
	if want := callers * batches * 3 / 2; len(ids) != want || len(list)-before != want {
		t.Errorf("there are %d events, %d of them different, want %d", len(list)-before, len(ids), want)
	}
}
