package local

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/eventlog"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

func testConfig(t testing.TB, fs vfs.FS) Config {
	t.Helper()
	return Config{
		DataDir:        "data",
		MaxRecordBytes: 4 << 20,
		Sync:           engine.SyncFsync,
		Log:            slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
		fs:             fs,
		fatal:          func(err error) { panic(err) },
	}
}

// open opens a storage, which is closed at the end of the test.
func open(t testing.TB, fs vfs.FS) *Engine {
	t.Helper()
	e, err := Open(t.Context(), testConfig(t, fs))
	if err != nil {
		t.Fatal(err)
	}
	closed := false
	t.Cleanup(func() {
		if !closed {
			e.Close()
		}
	})
	return e
}

// reopen closes a storage and opens it again.
func reopen(t *testing.T, e *Engine) *Engine {
	t.Helper()
	fs := e.config.fs.(*vfs.MemFS)
	crashed := fs.CrashClone(vfs.CrashCloneCfg{}) // What was synced.
	return open(t, crashed)
}

var lastUID atomic.Uint64

func newTopic(t testing.TB, e *Engine, name string, change func(*storagev1.TopicConfig)) *engine.Topic {
	t.Helper()
	config := &storagev1.TopicConfig{
		Uid:          1<<40 + lastUID.Add(0x1_0000_0001),
		Dedupe:       optionsv1.Dedupe_DEDUPE_REQUEST,
		DedupeWindow: durationpb.New(time.Hour),
	}
	if change != nil {
		change(config)
	}
	topic, err := e.CreateTopic(t.Context(), name, config)
	if err != nil {
		t.Fatal(err)
	}
	return topic
}

func byEvent(config *storagev1.TopicConfig) { config.Dedupe = optionsv1.Dedupe_DEDUPE_EVENT }

// keyedEvent is an event to append: an ID, a partition key and what it says.
type keyedEvent struct{ id, key, text string }

func idOf(name string) engine.ID {
	sum := sha256.Sum256([]byte(name))
	return engine.ID(sum[:idSize])
}

func hashOf(text string) uint64 {
	sum := sha256.Sum256([]byte(text))
	return binary.BigEndian.Uint64(sum[:])
}

// batchOf makes a batch, whose request has the ID of its events together.
func batchOf(t testing.TB, events ...keyedEvent) *engine.Batch {
	t.Helper()
	b := &engine.Batch{Data: eventlog.AppendHeader(nil, "")}
	b.Head = len(b.Data)
	names, texts := "", ""
	for _, event := range events {
		raw, err := proto.Marshal(&tidingsv1.Event{Id: event.id, Source: "/test", Subject: event.text})
		if err != nil {
			t.Fatal(err)
		}
		b.Data = eventlog.AppendEvent(b.Data, raw, event.key)
		b.Events = append(b.Events, engine.BatchEvent{End: len(b.Data), Key: event.key, ID: idOf(event.id), Hash: hashOf(event.text)})
		names += event.id + "|"
		texts += event.text + "|"
	}
	b.ID, b.Hash = idOf(names), hashOf(texts)
	return b
}

func appendTo(ctx context.Context, e *Engine, topic *engine.Topic, b *engine.Batch) (engine.Appended, error) {
	a, err := e.Start(ctx, topic, b, nil)
	if err != nil {
		return engine.Appended{}, err
	}
	return a.Wait(ctx)
}

// put appends a batch.
func put(t testing.TB, e *Engine, topic *engine.Topic, events ...keyedEvent) engine.Appended {
	t.Helper()
	appended, err := appendTo(t.Context(), e, topic, batchOf(t, events...))
	if err != nil {
		t.Fatal(err)
	}
	return appended
}

// putMany appends a number of records of one event each.
func putMany(t testing.TB, e *Engine, topic *engine.Topic, from, count int) {
	t.Helper()
	appends := make([]engine.Append, count)
	for i := range appends {
		var err error
		event := keyedEvent{id: fmt.Sprint("many-", from+i), key: fmt.Sprint("k", i%3), text: fmt.Sprint(from + i)}
		if appends[i], err = e.Start(t.Context(), topic, batchOf(t, event), nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, a := range appends {
		if _, err := a.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// textsOf returns what the events of a record say.
func textsOf(t testing.TB, record engine.Record) (texts []string) {
	t.Helper()
	events, err := eventlog.Events(record.First, record.Data, nil)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(events)) != record.Last-record.First+1 {
		t.Fatalf("record %d to %d has %d events", record.First, record.Last, len(events))
	}
	for _, raw := range events {
		var event tidingsv1.Event
		if err := proto.Unmarshal(raw, &event); err != nil {
			t.Fatal(err)
		}
		texts = append(texts, event.GetSubject())
	}
	return texts
}

// readAll returns the records from a sequence on up to the end of the topic.
func readAll(t testing.TB, e *Engine, topic *engine.Topic, from engine.ReadFrom) (records []engine.Record) {
	t.Helper()
	r, err := e.Read(t.Context(), topic, from)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if !r.More() {
		return nil
	}
	for {
		record, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if record.Data != nil { // Else it says how far a key was looked for.
			records = append(records, record)
		}
		if !record.More {
			return records
		}
	}
}

// await waits until something is so.
func await(t testing.TB, what string, so func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.After(2 * time.Minute); !so(); {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatal("waited in vain: " + what)
		}
	}
}

// settle waits until all that was begun is in the store.
func settle(t testing.TB, e *Engine) {
	t.Helper()
	if err := e.committer.do(t.Context(), func(*pebble.Batch) error { return nil }, nil); err != nil {
		t.Fatal(err)
	}
}

// countKeys returns the number of keys of a kind and a uid.
func countKeys(t testing.TB, e *Engine, kind byte, uid uint64) (count int) {
	t.Helper()
	iter, err := e.db.NewIter(&pebble.IterOptions{LowerBound: uidKey(kind, uid), UpperBound: afterUID(kind, uid)})
	if err != nil {
		t.Fatal(err)
	}
	defer iter.Close() //nolint:errcheck // Error says it.
	for valid := iter.First(); valid; valid = iter.Next() {
		count++
	}
	if err := iter.Error(); err != nil {
		t.Fatal(err)
	}
	return count
}

func newSubscription(t testing.TB, e *Engine, name string) *engine.Subscription {
	t.Helper()
	s, err := e.CreateSubscription(t.Context(), name, &storagev1.SubscriptionConfig{Uid: 1<<40 + lastUID.Add(0x1_0000_0001)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}
