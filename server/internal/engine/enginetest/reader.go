package enginetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/tidings/server/internal/engine"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
)

func testReader(t *testing.T, storage Storage) {
	e := opened(t, storage)
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			topic := newTopic(t, e, fmt.Sprint("read-", int(kind)), dedupe(kind))
			testFrom(t, e, topic)
			testFromTime(t, e, topic)
			testTail(t, e, topic)
			testReaderOfGone(t, e, topic)
		})
	}
	t.Run("much", func(t *testing.T) { testMuch(t, e) })
	t.Run("many", func(t *testing.T) { testManyReaders(t, e) })
	t.Run("key", func(t *testing.T) { testReadKey(t, e) })
}

func testFrom(t *testing.T, e engine.Engine, topic *engine.Topic) {
	t.Helper()
	ctx := testContext(t)
	sequences := slices.Concat(
		stored(t, e, topic, encode(events("1", "2", "3")...)),
		stored(t, e, topic, encode(events("4")...)),
		stored(t, e, topic, encode(events("5", "6")...)))
	from := map[int64]int{0: 0, 1: 0}
	for i, sequence := range sequences {
		from[sequence] = i
	}
	for sequence, index := range from {
		reader, err := e.Read(ctx, topic, engine.ReadFrom{Sequence: sequence})
		noErr(t, err)
		if !reader.More() {
			t.Errorf("from %d on there is nothing", sequence)
		}
		var got []int64
		for more := true; more; {
			record, err := reader.Next(ctx)
			noErr(t, err)
			if record.Last < sequence || record.Time.IsZero() {
				t.Errorf("from %d on a record up to %d, of %s", sequence, record.Last, record.Time)
			}
			for _, one := range inside(t, record) {
				if one.sequence >= sequence {
					got = append(got, one.sequence)
				}
			}
			more = record.More
		}
		reader.Close()
		if !slices.Equal(got, sequences[index:]) {
			t.Errorf("from %d on there are %d, want %d", sequence, got, sequences[index:])
		}
	}
}

func testFromTime(t *testing.T, e engine.Engine, topic *engine.Topic) {
	t.Helper()
	ctx := testContext(t)
	until(t, "the clock goes on", func() bool {
		state, err := e.State(ctx, topic)
		noErr(t, err)
		return time.Since(state.LastTime) > 2*time.Millisecond
	})
	begun := time.Now()
	until(t, "the clock goes on", func() bool { return time.Since(begun) > 2*time.Millisecond })
	first := stored(t, e, topic, encode(events("timed")...))[0]
	next := func(at time.Time) func() int64 {
		reader, err := e.Read(ctx, topic, engine.ReadFrom{Time: at})
		noErr(t, err)
		t.Cleanup(reader.Close)
		return func() int64 {
			record, err := reader.Next(ctx)
			noErr(t, err)
			return record.First
		}
	}
	if read := next(begun); read() != first {
		t.Error("reading from a time begins elsewhere")
	}
	// What is stored before a time that is to come isn't read.
	future := time.Now().Add(300 * time.Millisecond)
	read := next(future)
	stored(t, e, topic, encode(events("too early")...))
	until(t, "the time comes", func() bool { return time.Now().After(future.Add(2 * time.Millisecond)) })
	late := stored(t, e, topic, encode(events("late enough")...))[0]
	if got := read(); got != late {
		t.Errorf("reading from a time that was to come begins at %d, not at %d", got, late)
	}
}

func testTail(t *testing.T, e engine.Engine, topic *engine.Topic) {
	t.Helper()
	ctx := testContext(t)
	state, err := e.State(ctx, topic)
	noErr(t, err)
	reader, err := e.Read(ctx, topic, engine.ReadFrom{Sequence: state.End})
	noErr(t, err)
	defer reader.Close()
	if reader.More() {
		t.Error("behind the end there is something")
	}
	for i := range 5 {
		short, cancel := context.WithTimeout(ctx, time.Duration(i)*time.Millisecond)
		_, err := reader.Next(short)
		wantErr(t, err, context.DeadlineExceeded)
		cancel()
		want := stored(t, e, topic, encode(events(fmt.Sprint("tail", i))...))[0]
		if record, err := reader.Next(ctx); err != nil || record.First != want || record.More {
			t.Errorf("the next is %d, %t, %v; want %d", record.First, record.More, err, want)
		}
	}
}

func testReaderOfGone(t *testing.T, e engine.Engine, topic *engine.Topic) {
	t.Helper()
	ctx := testContext(t)
	end := must(e.State(ctx, topic)).End
	waiting := make(chan struct{})
	for _, err := range together(4, func(i int) error {
		if i == 0 { // Once the others have opened theirs.
			for range 3 {
				<-waiting
			}
			return e.DeleteTopic(ctx, topic)
		}
		reader, err := e.Read(ctx, topic, engine.ReadFrom{Sequence: end})
		waiting <- struct{}{}
		if err != nil {
			return err
		}
		defer reader.Close()
		if _, err := reader.Next(ctx); !errors.Is(err, engine.ErrTopicNotFound) {
			return fmt.Errorf("the end of a topic is told as %w", err)
		}
		return nil
	}) {
		noErr(t, err)
	}
}

// A reader brings everything, however much it is and however late it is asked for.
func testMuch(t *testing.T, e engine.Engine) {
	topic := newTopic(t, e, "much")
	ctx := testContext(t)
	size := func(i int) int {
		switch {
		case i%100 == 50:
			return e.MaxRecordBytes() - 1000
		case i%10 == 5:
			return 100 << 10
		default:
			return i % 50
		}
	}
	const records = 1500
	var behind engine.Append
	for i := range records {
		var err error
		behind, err = e.Start(ctx, topic, encode(event{fmt.Sprint(i), "", strings.Repeat("x", size(i))}), behind)
		noErr(t, err)
	}
	if _, err := behind.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	reader, err := e.Read(ctx, topic, engine.ReadFrom{})
	noErr(t, err)
	defer reader.Close()
	for i := range records {
		record, err := reader.Next(ctx)
		noErr(t, err)
		if list := inside(t, record); list[0].id != fmt.Sprint(i) || record.More != (i < records-1) {
			t.Fatalf("record %d is %v, more %t", i, list, record.More)
		}
	}
}

// Readers that don't read hold nobody up.
func testManyReaders(t *testing.T, e engine.Engine) {
	topic := newTopic(t, e, "readers")
	ctx := testContext(t)
	for i := range 20 {
		stored(t, e, topic, encode(event{fmt.Sprint(i), "", strings.Repeat("x", 300<<10)}))
	}
	const lazy = 20
	var idle []engine.Reader
	for range lazy {
		reader, err := e.Read(ctx, topic, engine.ReadFrom{})
		noErr(t, err)
		t.Cleanup(reader.Close)
		if _, err := reader.Next(ctx); err != nil {
			t.Fatal(err)
		}
		idle = append(idle, reader)
	}
	for _, err := range together(lazy, func(int) error {
		reader, err := e.Read(ctx, topic, engine.ReadFrom{})
		if err != nil {
			return err
		}
		defer reader.Close()
		for i := range 20 {
			record, err := reader.Next(ctx)
			if err != nil {
				return err
			}
			if list := inside(t, record); list[0].id != fmt.Sprint(i) {
				return fmt.Errorf("record %d is %v", i, list)
			}
		}
		return nil
	}) {
		noErr(t, err)
	}
	stored(t, e, topic, encode(events("still")...))
	for _, reader := range idle {
		for i := 1; i < 20; i++ {
			record, err := reader.Next(ctx)
			noErr(t, err)
			if list := inside(t, record); list[0].id != fmt.Sprint(i) {
				t.Fatalf("record %d is %v", i, list)
			}
		}
	}
}

// Reading by key brings every record with the key, and says how far it has looked.
func testReadKey(t *testing.T, e engine.Engine) {
	ctx := testContext(t)
	for name, kind := range kinds {
		topic := newTopic(t, e, fmt.Sprint("key-", int(kind)), dedupe(kind))
		if !e.Features().KeyIndex {
			_, err := e.Read(ctx, topic, engine.ReadFrom{Key: "k3"})
			wantErr(t, err, engine.ErrUnsupported)
			continue
		}
		var want []found
		for i := range 100 {
			one := event{fmt.Sprint(i), fmt.Sprint("k", i%10), ""}
			batch := encode(one)
			if i%4 == 0 && kind != optionsv1.Dedupe_DEDUPE_EVENT { // Inside of a record.
				batch = encode(event{fmt.Sprint(i, "-"), "none", ""}, one)
			}
			sequences := stored(t, e, topic, batch)
			if i%10 == 3 {
				want = append(want, found{sequences[len(sequences)-1], fmt.Sprint(i)})
			}
		}
		end := must(e.State(ctx, topic)).End
		reader, err := e.Read(ctx, topic, engine.ReadFrom{Key: "k3"})
		noErr(t, err)
		got, records := readKey(t, reader, end)
		if len(got) < len(want) || !slices.IsSortedFunc(got, func(a, b found) int { return int(a.sequence - b.sequence) }) {
			t.Errorf("%s: there are %v, want %v", name, got, want)
		}
		for _, one := range want {
			if !slices.Contains(got, one) {
				t.Errorf("%s: %v is missing", name, one)
			}
		}
		if records > 2*len(want)+2 {
			t.Errorf("%s: %d records for %d events", name, records, len(want))
		}
		later := stored(t, e, topic, encode(event{"other", "k4", ""}, event{"later", "k3", ""}))[1]
		if got, _ := readKey(t, reader, later+1); !slices.Contains(got, found{later, "later"}) {
			t.Errorf("%s: behind the end there are %v, want %d", name, got, later)
		}
		reader.Close()
	}
}

// readKey reads up to a sequence.
func readKey(t *testing.T, reader engine.Reader, end int64) (list []found, records int) {
	t.Helper()
	for {
		record, err := reader.Next(testContext(t))
		noErr(t, err)
		records++
		if record.Data != nil {
			list = append(list, inside(t, record)...)
		}
		if record.Last >= end-1 {
			return list, records
		}
	}
}
