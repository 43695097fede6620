package local

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/guard"
)

// Readers at the end get everything in its order, whoever reads it first.
func TestReadersAtTheEnd(t *testing.T) {
	e := open(t, vfs.NewCrashableMem())
	topic := newTopic(t, e, "orders", nil)
	putMany(t, e, topic, 0, 10)
	const readers, records = 50, 300
	var group guard.Group
	for i := range readers {
		group.Go(func() error {
			r, err := e.Read(t.Context(), topic, engine.ReadFrom{Sequence: int64(i%15) + 1})
			if err != nil {
				return err
			}
			defer r.Close()
			for next := int64(i%15) + 1; next <= records; next++ {
				record, err := r.Next(t.Context())
				if err != nil {
					return err
				}
				if record.First != next || !strings.Contains(string(record.Data), fmt.Sprint("many-", next-1)) {
					return fmt.Errorf("reader %d: %d, want %d", i, record.First, next) //nolint:err113 // It is shown as it is.
				}
			}
			return nil
		}, func(err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	for i := 10; i < records; i += 10 {
		putMany(t, e, topic, i, 10)
	}
	group.Wait()
	if held := e.shared.Load(); held != 0 {
		t.Errorf("they left %d bytes", held)
	}
}

// A reader that nobody asks holds a chunk, whatever there is to read.
func TestReadersThatDoNotReadHoldLittle(t *testing.T) {
	e := open(t, vfs.NewCrashableMem())
	topic := newTopic(t, e, "orders", nil)
	for i := range 100 {
		put(t, e, topic, keyedEvent{fmt.Sprint(i), "", strings.Repeat("x", 10_000)})
	}
	for _, key := range []string{"", "key"} {
		t.Run("key "+key, func(t *testing.T) {
			r, err := e.Read(t.Context(), topic, engine.ReadFrom{Key: key})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if _, err := r.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
			held := 0
			for _, record := range r.(*reader).chunk {
				held += len(record.Data)
			}
			if held > maxChunkBytes {
				t.Errorf("it holds %d bytes", held)
			}
		})
	}
}

// What retention removed before the reader came to it isn't taken for looked at,
// whether or not something of the key is left.
func TestReadOfAKeyThatRetentionOvertakes(t *testing.T) {
	for _, left := range []string{"another", "key"} {
		t.Run(left+" is left", func(t *testing.T) {
			e := open(t, vfs.NewCrashableMem())
			topic := newTopic(t, e, "orders", nil)
			put(t, e, topic, keyedEvent{"a", "key", "a"})
			r, err := e.Read(t.Context(), topic, engine.ReadFrom{Key: "key"})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if record, err := r.Next(t.Context()); err != nil || record.First != 1 {
				t.Fatalf("%+v, %v", record, err)
			}
			put(t, e, topic, keyedEvent{"b", "key", "b"})
			put(t, e, topic, keyedEvent{"c", left, "c"})
			reconfigure(t, e, topic, retain(1, 0))
			log, err := e.topicLog(topic)
			if err != nil {
				t.Fatal(err)
			}
			await(t, "the removal", func() bool {
				_, closer, err := e.db.Get(numberKey(kindRecord, log.uid, 2))
				if err == nil {
					_ = closer.Close() // Nothing was written.
				}
				return errors.Is(err, pebble.ErrNotFound) && stateOf(t, e, topic).First == 3
			})
			if record, err := r.Next(t.Context()); err != nil || record.First != 3 || record.Last != 3 || (record.Data == nil) != (left != "key") {
				t.Errorf("%+v, %v", record, err)
			}
		})
	}
}

// While a topic is being deleted nobody is told that there is no more in it.
func TestReadWhileTheTopicIsDeleted(t *testing.T) {
	for _, key := range []string{"", "k0"} {
		t.Run("key "+key, func(t *testing.T) {
			e := open(t, vfs.NewCrashableMem())
			topic := newTopic(t, e, "orders", nil)
			putMany(t, e, topic, 0, 5*maxChunkRecords)
			r, err := e.Read(t.Context(), topic, engine.ReadFrom{Key: key})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			log, err := e.topicLog(topic)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
			log.deleted.Store(true) // What a deletion does until it is durable.
			for _, kind := range topicKinds {
				if err := e.db.DeleteRange(uidKey(kind, log.uid), afterUID(kind, log.uid), pebble.NoSync); err != nil {
					t.Fatal(err)
				}
			}
			for {
				record, err := r.Next(t.Context())
				if errors.Is(err, engine.ErrTopicNotFound) {
					break
				}
				if err != nil || record.Data == nil {
					t.Fatalf("%+v, %v", record, err)
				}
			}
		})
	}
}

// From a time that is yet to come nothing comes that was stored before.
func TestReadFromATimeToCome(t *testing.T) {
	e := open(t, vfs.NewCrashableMem())
	topic := newTopic(t, e, "orders", nil)
	putMany(t, e, topic, 0, 3)
	at := time.Now().Add(50 * time.Millisecond)
	r, err := e.Read(t.Context(), topic, engine.ReadFrom{Time: at})
	if err != nil || r.More() {
		t.Fatal(err, r.More())
	}
	defer r.Close()
	for i := 3; ; i++ {
		putMany(t, e, topic, i, 1)
		if last := stateOf(t, e, topic).LastTime; !last.Before(at) {
			break
		}
	}
	record, err := r.Next(t.Context())
	if err != nil || record.Time.Before(at) {
		t.Fatalf("%+v, %v", record, err)
	}
	if before, err := e.Get(t.Context(), topic, record.First-1); err != nil || !before.Time.Before(at) {
		t.Errorf("the one before it was stored at %v, %v", before.Time, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Next(ctx); err != context.Canceled { //nolint:errorlint // It is returned as it is.
		t.Error(err)
	}
	first, err := e.FirstAt(t.Context(), topic, at)
	if err != nil || first != record.First {
		t.Errorf("the first is %d, %v", first, err)
	}
	end := stateOf(t, e, topic).End
	if after, err := e.FirstAt(t.Context(), topic, time.Now().Add(time.Hour)); err != nil || after != end {
		t.Errorf("in an hour: %d, %v", after, err)
	}
	if all := readAll(t, e, topic, engine.ReadFrom{Time: time.Unix(1, 0)}); len(all) != int(end)-1 || !slices.IsSortedFunc(all, func(a, b engine.Record) int {
		return int(a.First - b.First)
	}) {
		t.Errorf("from 1970: %d", len(all))
	}
}

// Readers of large records take turns, which those of small ones don't wait for.
func TestTurns(t *testing.T) {
	e := open(t, vfs.NewMem())
	large, small := newTopic(t, e, "large", nil), newTopic(t, e, "small", nil)
	for i := range 3 {
		put(t, e, large, keyedEvent{fmt.Sprint(i), "key", strings.Repeat("x", largeChunk)})
		put(t, e, small, keyedEvent{fmt.Sprint(i), "key", "text"})
	}
	readers := make(map[*engine.Topic]engine.Reader)
	for _, topic := range []*engine.Topic{large, small} {
		r, err := e.Read(t.Context(), topic, engine.ReadFrom{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Close)
		readers[topic] = r
	}
	next := func(topic *engine.Topic, within time.Duration) (int64, error) {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		record, err := readers[topic].Next(ctx)
		return record.First, err
	}
	all := int64(max(1, runtime.GOMAXPROCS(0)/2))
	if err := turns.Acquire(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	if first, err := next(large, time.Minute); first != 1 || err != nil {
		t.Errorf("%d, %v: nobody knows yet how large it is", first, err)
	}
	if first, err := next(large, 50*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%d, %v: it isn't its turn", first, err)
	}
	for want := range int64(3) {
		if first, err := next(small, time.Minute); first != want+1 || err != nil {
			t.Errorf("small: %d, %v", first, err)
		}
	}
	turns.Release(all)
	for want := range int64(2) {
		if first, err := next(large, time.Minute); first != want+2 || err != nil {
			t.Errorf("large: %d, %v", first, err)
		}
	}
}
