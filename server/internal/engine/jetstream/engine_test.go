package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	storagev1 "example.com/tidings/gen/go/tidings/storage/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

func openEngine(t *testing.T, dir string) *Engine {
	t.Helper()
	e, err := Open(t.Context(), Config{
		DataDir: dir, MaxStoreBytes: 1 << 30, MaxRecordBytes: 1 << 20, Sync: SyncWritten,
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func newEngine(t *testing.T) *Engine {
	t.Helper()
	e := openEngine(t, t.TempDir())
	t.Cleanup(e.Close)
	return e
}

func config(uid uint64) *storagev1.TopicConfig {
	return &storagev1.TopicConfig{Uid: uid, DedupeWindow: durationpb.New(time.Minute)}
}

func newTopic(t *testing.T, e *Engine, name string) *Topic {
	t.Helper()
	topic, err := e.CreateTopic(t.Context(), name, config(1))
	if err != nil {
		t.Fatal(err)
	}
	return topic
}

// store appends a record.
func store(ctx context.Context, e *Engine, topic *Topic, entry Entry) (Ack, error) {
	started, err := e.Start(topic, entry)
	if err != nil {
		return Ack{}, err
	}
	return started.Wait(ctx)
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
}

func TestTopics(t *testing.T) {
	e, ctx := newEngine(t), t.Context()
	first := newTopic(t, e, "b")
	_, err := e.CreateTopic(ctx, "b", config(2))
	wantErr(t, err, ErrTopicExists)
	newTopic(t, e, "a")
	if list := e.Topics(); len(list) != 2 || list[0].Name != "a" || list[1].Name != "b" {
		t.Errorf("topics are %v", list)
	}
	changed := proto.CloneOf(first.Config)
	changed.Description, changed.Retention = "changed", &tidingsv1.Retention{MaxBytes: 1 << 20}
	second, err := e.UpdateTopic(ctx, first, changed)
	if err != nil {
		t.Fatal(err)
	}
	if second.Revision <= first.Revision {
		t.Errorf("revision %d after %d", second.Revision, first.Revision)
	}
	stream, err := e.js.Stream(ctx, streamName("b"))
	if err != nil || stream.CachedInfo().Config.MaxBytes != 1<<20 {
		t.Errorf("the stream is not brought in line: %v", err)
	}
	_, err = e.UpdateTopic(ctx, first, changed)
	wantErr(t, err, ErrRevision)
	wantErr(t, e.DeleteTopic(ctx, first), ErrRevision)
	shown, err := e.Topic(ctx, "b")
	if err != nil || shown.Revision != second.Revision || shown.Config.GetDescription() != "changed" {
		t.Errorf("shown as %v, %v", shown, err)
	}
	gone := e.Gone(second)
	if err := e.DeleteTopic(ctx, second); err != nil {
		t.Fatal(err)
	}
	select {
	case <-gone:
	default:
		t.Error("Gone doesn't tell of the deletion")
	}
	_, err = e.Topic(ctx, "b")
	wantErr(t, err, ErrTopicNotFound)
	_, err = e.State(ctx, second)
	wantErr(t, err, ErrTopicNotFound)
	_, err = store(ctx, e, second, Entry{ID: "x", Data: []byte("x")})
	wantErr(t, err, ErrTopicNotFound)
	again := newTopic(t, e, "b")
	if again.Revision <= second.Revision {
		t.Errorf("revision %d after %d", again.Revision, second.Revision)
	}
	_, err = e.UpdateTopic(ctx, second, changed)
	wantErr(t, err, ErrRevision)
}

func TestCreateAtOnce(t *testing.T) {
	e := newEngine(t)
	errs := make(chan error)
	for i := range 10 {
		go func() {
			_, err := e.CreateTopic(t.Context(), "a", config(uint64(i)))
			errs <- err
		}()
	}
	created := 0
	for range 10 {
		if err := <-errs; err == nil {
			created++
		} else if !errors.Is(err, ErrTopicExists) {
			t.Error(err)
		}
	}
	if created != 1 {
		t.Errorf("created %d times", created)
	}
	topic, err := e.Topic(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if ack, err := store(t.Context(), e, topic, Entry{ID: "1", Data: []byte("x")}); err != nil || ack.Sequence != 1 {
		t.Errorf("%v, %v", ack, err)
	}
}

// Updates at the same time leave the stream as the last of them says.
func TestUpdateAtOnce(t *testing.T) {
	e := newEngine(t)
	newTopic(t, e, "a")
	errs := make(chan error)
	for i := range 10 {
		go func() {
			for {
				topic, err := e.Topic(t.Context(), "a")
				if err == nil {
					changed := proto.CloneOf(topic.Config)
					changed.Retention = &tidingsv1.Retention{MaxBytes: int64(i+1) << 20}
					_, err = e.UpdateTopic(t.Context(), topic, changed)
				}
				if !errors.Is(err, ErrRevision) {
					errs <- err
					return
				}
			}
		}()
	}
	for range 10 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	topic, err := e.Topic(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	stream, err := e.js.Stream(t.Context(), streamName("a"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := stream.CachedInfo().Config.MaxBytes, topic.Config.GetRetention().GetMaxBytes(); got != want {
		t.Errorf("the stream keeps %d bytes, the topic says %d", got, want)
	}
}

// Open finishes what a crash between two steps left.
func TestReconcile(t *testing.T) {
	dir, ctx := t.TempDir(), t.Context()
	e := openEngine(t, dir)
	kept := newTopic(t, e, "kept")
	if _, err := store(ctx, e, kept, Entry{ID: "1", Data: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	// Crashed after the configuration, before the stream.
	if _, err := e.topics.put(ctx, &Topic{Name: "half", Config: config(2)}); err != nil {
		t.Fatal(err)
	}
	// Crashed after the update of the configuration.
	updated := proto.CloneOf(kept.Config)
	updated.Retention = &tidingsv1.Retention{MaxBytes: 1 << 20}
	if _, err := e.topics.put(ctx, &Topic{Name: "kept", Config: updated, Revision: kept.Revision}); err != nil {
		t.Fatal(err)
	}
	// Crashed in a deletion, before and after the stream went.
	for _, name := range []string{"before", "after"} {
		topic := newTopic(t, e, name)
		deleting := proto.CloneOf(topic.Config)
		deleting.Deleting = true
		if _, err := e.topics.put(ctx, &Topic{Name: name, Config: deleting, Revision: topic.Revision}); err != nil {
			t.Fatal(err)
		}
		if name == "after" {
			if err := e.js.DeleteStream(ctx, streamName(name)); err != nil {
				t.Fatal(err)
			}
		}
		_, err := e.Topic(ctx, name)
		wantErr(t, err, ErrTopicNotFound)
	}
	e.Close()

	e = openEngine(t, dir)
	t.Cleanup(e.Close)
	var names []string
	for _, topic := range e.Topics() {
		names = append(names, topic.Name)
	}
	if !slices.Equal(names, []string{"half", "kept"}) {
		t.Errorf("topics are %q", names)
	}
	half, err := e.Topic(ctx, "half")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store(ctx, e, half, Entry{ID: "1", Data: []byte("x")}); err != nil {
		t.Errorf("the topic without a stream: %v", err)
	}
	stream, err := e.js.Stream(ctx, streamName("kept"))
	if err != nil || stream.CachedInfo().Config.MaxBytes != 1<<20 || stream.CachedInfo().State.Msgs != 1 {
		t.Errorf("the updated topic: %v", err)
	}
	_, err = e.js.Stream(ctx, streamName("before"))
	wantErr(t, err, jetstream.ErrStreamNotFound)
	for _, name := range []string{"before", "after"} {
		if topic := newTopic(t, e, name); topic.Config.GetDeleting() {
			t.Errorf("%s is still being deleted", name)
		}
	}
}

func TestAppend(t *testing.T) {
	e, ctx := newEngine(t), t.Context()
	topic := newTopic(t, e, "a")
	if state, err := e.State(ctx, topic); err != nil || state != (State{First: 1}) {
		t.Errorf("the state of nothing is %+v, %v", state, err)
	}
	for i := range uint64(3) {
		id := fmt.Sprint(i)
		for _, want := range []Ack{{Sequence: i + 1}, {Sequence: i + 1, Duplicate: true}} {
			if got, err := store(ctx, e, topic, Entry{ID: id, Key: "k" + id, Data: []byte(id)}); err != nil || got != want {
				t.Errorf("%v, %v; want %v", got, err, want)
			}
		}
		if got, err := e.Find(ctx, topic, id); err != nil || got != (Ack{Sequence: i + 1, Duplicate: true}) {
			t.Errorf("found %v, %v", got, err)
		}
		record, err := e.LastOfKey(ctx, topic, "k"+id)
		if err != nil || record.Sequence != i+1 || string(record.Data) != id {
			t.Errorf("the last of the key is %v, %v", record, err)
		}
	}
	_, err := e.Find(ctx, topic, "nobody")
	wantErr(t, err, ErrRecordNotFound)
	_, err = e.LastOfKey(ctx, topic, "nobody")
	wantErr(t, err, ErrRecordNotFound)
	for _, sequence := range []uint64{0, 4, 1 << 51} {
		_, err = e.Get(ctx, topic, sequence)
		wantErr(t, err, ErrRecordNotFound)
	}
	// Finding stores nothing.
	state, err := e.State(ctx, topic)
	if err != nil || state.First != 1 || state.Last != 3 || state.Bytes == 0 || state.LastTime.IsZero() {
		t.Errorf("the state is %+v, %v", state, err)
	}
	wrong, right := uint64(2), uint64(3)
	_, err = store(ctx, e, topic, Entry{ID: "new", Data: []byte("x"), ExpectedLast: &wrong})
	wantErr(t, err, ErrSequence)
	if _, err = store(ctx, e, topic, Entry{ID: "new", Data: []byte("x"), ExpectedLast: &right}); err != nil {
		t.Error(err)
	}
	_, err = store(ctx, e, topic, Entry{ID: "large", Data: make([]byte, e.MaxRecordBytes()+1)})
	wantErr(t, err, ErrTooLarge)
	if _, err = store(ctx, e, topic, Entry{ID: "largest", Data: make([]byte, e.MaxRecordBytes())}); err != nil {
		t.Error(err)
	}
}

func TestAppendAtomic(t *testing.T) {
	e, ctx := newEngine(t), t.Context()
	topic := newTopic(t, e, "a")
	entries := func(ids ...string) (list []Entry) {
		for _, id := range ids {
			list = append(list, Entry{ID: id, Key: "k", Data: []byte(id)})
		}
		return list
	}
	if first, err := e.AppendAtomic(ctx, topic, entries("a", "b", "c")); err != nil || first != 1 {
		t.Fatal(first, err)
	}
	_, err := e.AppendAtomic(ctx, topic, entries("d", "b", "e"))
	wantErr(t, err, ErrDuplicate)
	_, err = e.Find(ctx, topic, "d")
	wantErr(t, err, ErrRecordNotFound)
	wrong, right := uint64(0), uint64(3)
	expecting := entries("f", "g")
	expecting[0].ExpectedLast, expecting[0].ExpectKey = &wrong, true
	_, err = e.AppendAtomic(ctx, topic, expecting)
	wantErr(t, err, ErrSequence)
	expecting[0].ExpectedLast = &right
	if first, err := e.AppendAtomic(ctx, topic, expecting); err != nil || first != 4 {
		t.Error(first, err)
	}
	for i, id := range []string{"a", "b", "c", "f", "g"} {
		record, err := e.Get(ctx, topic, uint64(i+1))
		if err != nil || string(record.Data) != id {
			t.Errorf("record %d is %q, %v", i+1, record.Data, err)
		}
	}
	var most []Entry
	for i := range MaxAtomic {
		most = append(most, Entry{ID: fmt.Sprint("most", i), Data: bytes.Repeat([]byte("x"), 10)})
	}
	if first, err := e.AppendAtomic(ctx, topic, most); err != nil || first != 6 {
		t.Error(first, err)
	}
	if state, err := e.State(ctx, topic); err != nil || state.Last != 5+MaxAtomic {
		t.Errorf("%+v, %v", state, err)
	}
}

func TestReader(t *testing.T) {
	e, ctx := newEngine(t), t.Context()
	topic := newTopic(t, e, "a")
	for i := range 5 {
		if _, err := store(ctx, e, topic, Entry{ID: fmt.Sprint(i), Data: fmt.Append(nil, i)}); err != nil {
			t.Fatal(err)
		}
	}
	reader, err := e.Read(ctx, topic, 3, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if reader.Pending() != 3 {
		t.Errorf("%d are pending", reader.Pending())
	}
	for want := uint64(3); want <= 5; want++ {
		record, err := reader.Next(ctx)
		if err != nil || record.Sequence != want || string(record.Data) != fmt.Sprint(want-1) || record.Pending != 5-want {
			t.Errorf("%+v, %v; want record %d", record, err, want)
		}
	}
	short, cancel := context.WithCancel(ctx)
	cancel()
	_, err = reader.Next(short)
	wantErr(t, err, context.Canceled)
	if _, err := store(ctx, e, topic, Entry{ID: "tail", Data: []byte("tail")}); err != nil {
		t.Fatal(err)
	}
	if record, err := reader.Next(ctx); err != nil || record.Sequence != 6 {
		t.Errorf("%+v, %v", record, err)
	}
}
