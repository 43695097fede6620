package jetstream

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/engine/jetstream/natstest"
	"example.com/tidings/server/internal/eventlog"
	"example.com/tidings/server/internal/guard"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// batch is a batch of events with ids of one byte.
func batch(ids string) *engine.Batch {
	data := eventlog.AppendHeader(nil, "")
	b := &engine.Batch{Head: len(data), ID: engine.ID([]byte(ids + "................")[:16])}
	var content eventlog.Hash
	for i := range len(ids) {
		raw := []byte{0x0a, 1, ids[i]}
		data = eventlog.AppendEvent(data, raw, "")
		b.Events = append(b.Events, engine.BatchEvent{End: len(data), ID: engine.ID{ids[i]}, Hash: eventlog.HashOf(raw)})
		content.Add(eventlog.HashOf(raw))
	}
	b.Data, b.Hash = data, content.Sum()
	return b
}

func store(ctx context.Context, e *Engine, topic *engine.Topic, b *engine.Batch) (engine.Appended, error) {
	started, err := e.Start(ctx, topic, b, nil)
	if err != nil {
		return engine.Appended{}, err
	}
	return started.Wait(ctx)
}

// What release 0.1.0 stored is read, counted and recognised: its records have no
// hash beside them.
func TestStoredBefore(t *testing.T) {
	t.Parallel()
	e, ctx := newEngine(t), t.Context()
	for name, kind := range map[string]optionsv1.Dedupe{"requests": optionsv1.Dedupe_DEDUPE_REQUEST, "events": optionsv1.Dedupe_DEDUPE_EVENT} {
		configuration := config(uint64(kind))
		configuration.Dedupe = kind
		topic, err := e.CreateTopic(ctx, name, configuration)
		if err != nil {
			t.Fatal(err)
		}
		b, id := batch("abc"), "sYWJjLi4uLi4uLi4uLi4uLg"
		if kind == optionsv1.Dedupe_DEDUPE_EVENT {
			b, id = batch("a"), "eYQAAAAAAAAAAAAAAAAAAAA"
		}
		if _, err := e.writes.js.PublishMsg(ctx, &nats.Msg{
			Subject: "tidings.topic." + name, Header: nats.Header{jetstream.MsgIDHeader: []string{id}}, Data: b.Data,
		}); err != nil {
			t.Fatal(err)
		}
		if latest, err := e.Latest(ctx, topic); err != nil || latest != 4096+int64(len(b.Events))-1 {
			t.Errorf("%s: the latest is %d, %v", name, latest, err)
		}
		if got, err := store(ctx, e, topic, b); err != nil || got.Of(0) != (engine.Place{Sequence: 4096, Duplicate: true}) {
			t.Errorf("%s: sent again it is at %+v, %v", name, got, err)
		}
		other := *b
		other.Hash, other.Events = 1, []engine.BatchEvent{b.Events[0]}
		other.Events[0].Hash = 1
		_, err = store(ctx, e, topic, &other)
		var conflict *engine.ConflictError
		if !errors.As(err, &conflict) || conflict.Sequence != 4096 {
			t.Errorf("%s: with other content: %v", name, err)
		}
	}
}

// Records are too many to look at each: then the number of events is an estimate.
func TestCountMany(t *testing.T) {
	t.Parallel()
	e, ctx := newEngine(t), t.Context()
	topic := newTopic(t, e, "a", 1)
	var behind engine.Append
	const records = 4 * maxCounted
	for i := range records {
		b := batch("abc")
		b.ID = engine.ID{byte(i), byte(i >> 8)}
		var err error
		if behind, err = e.Start(ctx, topic, b, behind); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := behind.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	if events, exact, err := e.Count(ctx, topic, 0); err != nil || events != 3*records || exact {
		t.Errorf("%d events, exact %t, %v", events, exact, err)
	}
	from := sequenceOf(records-9, 2)
	if events, exact, err := e.Count(ctx, topic, from); err != nil || events != 28 || !exact {
		t.Errorf("%d events from %d on, exact %t, %v", events, from, exact, err)
	}
}

// A reader goes on where it was, whatever becomes of its consumer.
func TestReaderHeals(t *testing.T) {
	t.Parallel()
	member := natstest.Start(t)
	e, ctx := openAt(t, natstest.URL(member)), t.Context()
	topic := newTopic(t, e, "a", 1)
	opened, err := e.Read(ctx, topic, engine.ReadFrom{})
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	r := opened.(topicReader).reader
	next := uint64(1)
	read := func(what string) {
		t.Helper()
		for deadline := time.Now().Add(2 * time.Minute); ; {
			_, err := store(ctx, e, topic, batch(string(rune('a'+next))))
			if err == nil {
				break
			}
			if !errors.Is(err, engine.ErrUnavailable) || time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
		begun := time.Now()
		record, err := opened.Next(ctx)
		if err != nil || record.First != sequenceOf(next, 0) {
			t.Errorf("%s: the next is %d, %v; want %d", what, record.First, err, sequenceOf(next, 0))
		}
		if took := time.Since(begun); took > 2*maxSilence {
			t.Errorf("%s: it takes %s", what, took)
		}
		next++
	}
	read("at first")
	if err := e.asks.js.DeleteConsumer(ctx, r.stream, r.consumer); err != nil {
		t.Fatal(err)
	}
	read("without a consumer")
	// As if what JetStream sends didn't come.
	if err := r.sub.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	read("without an inbox")
	r.delivered += 5
	read("with a gap")
	if err := r.engine.reads.conn.ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	read("with another connection")
	member.End()
	member.Restart(t)
	read("after a restart of NATS")
}

// What readers fetch ahead has a bound, each and all together.
func TestReadAhead(t *testing.T) {
	t.Parallel()
	e, ctx := newEngine(t), t.Context()
	topic := newTopic(t, e, "a", 1)
	const size = 200 << 10
	for i := range 30 {
		b := batch("a")
		b.ID = engine.ID{byte(i)}
		b.Data = append(b.Data, make([]byte, size)...)
		if _, err := store(ctx, e, topic, b); err != nil {
			t.Fatal(err)
		}
	}
	const readers = maxBytesAhead/aheadBytes + 20
	var group guard.Group
	lists := make([]engine.Reader, readers)
	for i := range readers {
		group.Go(func() (err error) {
			if lists[i], err = e.Read(ctx, topic, engine.ReadFrom{}); err == nil {
				_, err = lists[i].Next(ctx)
			}
			return err
		}, func(err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	granted, most := 0, 0
	for _, opened := range lists {
		r := opened.(topicReader).reader
		if r.pull.granted > 0 {
			granted++
		}
		most = max(most, len(r.arrived))
	}
	if granted == 0 || granted > maxBytesAhead/aheadBytes || most > aheadBytes/size+1 {
		t.Errorf("%d readers fetch ahead, up to %d records of %d bytes", granted, most, size)
	}
	for _, opened := range lists {
		opened.Close()
	}
	if !e.ahead.TryAcquire(maxBytesAhead) {
		t.Error("readers that are closed hold something")
	}
}

// A topic has more readers than NATS allows a stream by itself.
func TestManyReaders(t *testing.T) {
	t.Parallel()
	e, ctx := newEngine(t), t.Context()
	topic := newTopic(t, e, "a", 1)
	if _, err := store(ctx, e, topic, batch("a")); err != nil {
		t.Fatal(err)
	}
	const readers, at = 1100, 50
	opened := make([][]engine.Reader, at)
	var group guard.Group
	for i := range at {
		group.Go(func() error {
			for range readers / at {
				reader, err := e.Read(ctx, topic, engine.ReadFrom{})
				if err != nil {
					return err
				}
				opened[i] = append(opened[i], reader)
				if _, err := reader.Next(ctx); err != nil {
					return err
				}
			}
			return nil
		}, func(err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, some := range opened {
		for _, reader := range some {
			reader.Close()
		}
	}
}

// What JetStream would remove at once is refused.
func TestLargerThanRetention(t *testing.T) {
	t.Parallel()
	e, ctx := newEngine(t), t.Context()
	for name, kind := range map[string]optionsv1.Dedupe{"requests": optionsv1.Dedupe_DEDUPE_REQUEST, "events": optionsv1.Dedupe_DEDUPE_EVENT} {
		configuration := config(uint64(kind))
		configuration.Dedupe, configuration.Retention = kind, &optionsv1.Retention{MaxBytes: 8 << 10}
		topic, err := e.CreateTopic(ctx, name, configuration)
		if err != nil {
			t.Fatal(err)
		}
		for size := 1 << 10; ; size += 1 << 10 {
			b := batch("ab")
			b.ID, b.Events[0].ID, b.Events[1].ID = engine.ID{byte(size >> 8)}, engine.ID{byte(size >> 8), 1}, engine.ID{byte(size >> 8), 2}
			b.Data = append(b.Data, make([]byte, size)...)
			b.Events[1].End = len(b.Data)
			got, err := store(ctx, e, topic, b)
			if errors.Is(err, engine.ErrTooLarge) && size > 4<<10 {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			for i := range 2 {
				if _, err := e.stored(ctx, topic, uint64(got.Of(i).Sequence)/eventlog.MaxEvents); err != nil {
					t.Errorf("%s: event %d of a batch of %d bytes: %v", name, i, size, err)
				}
			}
		}
	}
}

// A full JetStream is relieved by what makes room.
func TestFull(t *testing.T) {
	t.Parallel()
	member := natstest.Start(t, func(o *server.Options) { o.JetStreamMaxStore = 8 << 20 })
	e, ctx := openAt(t, natstest.URL(member)), t.Context()
	number := 0
	fill := func(topic *engine.Topic) error {
		for range 1000 {
			b := batch("a")
			number++
			b.ID = engine.ID{byte(number), byte(number >> 8)}
			b.Data = append(b.Data, make([]byte, 100<<10)...)
			if _, err := store(ctx, e, topic, b); err != nil {
				return err
			}
		}
		return nil
	}
	kept, deleted := newTopic(t, e, "kept", 1), newTopic(t, e, "deleted", 2)
	s, err := e.CreateSubscription(ctx, "s", &storagev1.SubscriptionConfig{Uid: 3})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store(ctx, e, deleted, batch("a")); err != nil {
		t.Fatal(err)
	}
	wantErr(t, fill(kept), engine.ErrFull)
	wantErr(t, e.Ready(ctx), engine.ErrFull)
	if !e.Status().Full {
		t.Error("the status doesn't say that it is full")
	}
	if _, err := e.stored(ctx, kept, 1); err != nil {
		t.Error(err)
	}
	if err := e.DeleteSubscription(ctx, s); err != nil {
		t.Errorf("deleting a subscription: %v", err)
	}
	if err := e.DeleteTopic(ctx, deleted); err != nil {
		t.Errorf("deleting a topic: %v", err)
	}
	wantErr(t, fill(kept), engine.ErrFull)
	changed := proto.CloneOf(kept.Config)
	changed.Retention = &optionsv1.Retention{MaxBytes: 1 << 20}
	if kept, err = e.UpdateTopic(ctx, kept, changed); err != nil {
		t.Fatalf("a shorter retention: %v", err)
	}
	if _, err := store(ctx, e, kept, batch("b")); err != nil {
		t.Errorf("with room: %v", err)
	}
	if err := e.Ready(ctx); err != nil {
		t.Error(err)
	}
}
