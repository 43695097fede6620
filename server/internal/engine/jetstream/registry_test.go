package jetstream

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/engine/jetstream/natstest"
	"example.com/tidings/server/internal/guard"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

var discard = slog.New(slog.DiscardHandler)

// openAt opens an engine, until the test ends.
func openAt(t *testing.T, url string) *Engine {
	t.Helper()
	e, err := Open(t.Context(), Config{URL: url, Log: discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func newEngine(t *testing.T) *Engine {
	t.Helper()
	return openAt(t, natstest.URL(natstest.Start(t)))
}

func config(uid uint64) *storagev1.TopicConfig {
	return &storagev1.TopicConfig{Uid: uid, Dedupe: optionsv1.Dedupe_DEDUPE_REQUEST, DedupeWindow: durationpb.New(time.Minute)}
}

func newTopic(t *testing.T, e *Engine, name string, uid uint64) *engine.Topic {
	t.Helper()
	topic, err := e.CreateTopic(t.Context(), name, config(uid))
	if err != nil {
		t.Fatal(err)
	}
	return topic
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
}

// Open finishes what a crash between two steps left.
func TestReconcile(t *testing.T) {
	t.Parallel()
	url, ctx := natstest.URL(natstest.Start(t)), t.Context()
	e := openAt(t, url)
	kept := newTopic(t, e, "kept", 1)
	// Crashed after the configuration, before the stream.
	if _, err := e.topics.put(ctx, &engine.Topic{Name: "half", Config: config(2)}); err != nil {
		t.Fatal(err)
	}
	// Crashed after the update of the configuration.
	updated := proto.CloneOf(kept.Config)
	updated.Retention = &optionsv1.Retention{MaxBytes: 1 << 20}
	if _, err := e.topics.put(ctx, &engine.Topic{Name: "kept", Config: updated, Revision: kept.Revision}); err != nil {
		t.Fatal(err)
	}
	// Crashed in a deletion, before and after the stream went.
	for i, name := range []string{"before", "after"} {
		topic := newTopic(t, e, name, uint64(3+i))
		deleting := proto.CloneOf(topic.Config)
		deleting.Deleting = true
		if _, err := e.topics.put(ctx, &engine.Topic{Name: name, Config: deleting, Revision: topic.Revision}); err != nil {
			t.Fatal(err)
		}
		if name == "after" {
			if err := e.deleteStream(ctx, streamName(name)); err != nil {
				t.Fatal(err)
			}
		}
		_, err := e.Topic(ctx, name)
		wantErr(t, err, engine.ErrTopicNotFound)
	}
	// More than are worked on at a time.
	var many guard.Group
	for i := range 3 * maxReconciled {
		many.Go(func() error {
			_, err := e.topics.put(ctx, &engine.Topic{Name: fmt.Sprint("many", i), Config: config(uint64(100 + i))})
			return err
		}, func(err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	many.Wait()

	e = openAt(t, url)
	var names []string
	for _, topic := range e.Topics() {
		if _, err := e.State(ctx, topic); err != nil {
			t.Errorf("topic %s: %v", topic.Name, err)
		}
		if len(topic.Name) < 5 || topic.Name[:4] != "many" {
			names = append(names, topic.Name)
		}
	}
	if !slices.Equal(names, []string{"half", "kept"}) || len(e.Topics()) != 2+3*maxReconciled {
		t.Errorf("%d topics, among them %q", len(e.Topics()), names)
	}
	if info, err := e.reads.info(ctx, streamName("kept")); err != nil || info.Config.MaxBytes != 1<<20 {
		t.Errorf("the updated topic's stream: %v", err)
	}
	if _, err := e.reads.info(ctx, streamName("before")); !missing(err) {
		t.Errorf("the stream of a deleted topic: %v", err)
	}
	for i, name := range []string{"before", "after"} {
		if topic := newTopic(t, e, name, uint64(1000+i)); topic.Config.GetDeleting() {
			t.Errorf("%s is still being deleted", name)
		}
	}
}

// What somebody else has set of a stream stays when its topic is updated.
func TestStreamInLine(t *testing.T) {
	t.Parallel()
	e, ctx := newEngine(t), t.Context()
	topic := newTopic(t, e, "a", 1)
	info, err := e.reads.info(ctx, streamName("a"))
	if err != nil || info.Config.MaxConsumers != maxConsumers || !info.Config.AllowAtomicPublish {
		t.Fatalf("the stream is %+v, %v", info, err)
	}
	foreign := info.Config
	foreign.Metadata = map[string]string{"owner": "ops"}
	foreign.AllowDirect = true
	if _, err := e.asks.js.UpdateStream(ctx, foreign); err != nil {
		t.Fatal(err)
	}
	changed := proto.CloneOf(topic.Config)
	changed.Retention = &optionsv1.Retention{MaxBytes: 1 << 20, MaxAge: durationpb.New(time.Hour)}
	changed.DedupeWindow = durationpb.New(2 * time.Hour)
	if _, err = e.UpdateTopic(ctx, topic, changed); err != nil {
		t.Fatal(err)
	}
	info, err = e.reads.info(ctx, streamName("a"))
	if err != nil {
		t.Fatal(err)
	}
	if c := info.Config; c.MaxBytes != 1<<20 || c.MaxAge != time.Hour || c.Duplicates != time.Hour || c.Metadata["owner"] != "ops" || !c.AllowDirect {
		t.Errorf("the stream is %+v", c)
	}
}

// A stream that nobody leads is no reason to leave this server; NATS that doesn't
// answer is, and that doesn't take long to say.
func TestReady(t *testing.T) {
	t.Parallel()
	member := natstest.Start(t)
	e, ctx := openAt(t, natstest.URL(member)), t.Context()
	newTopic(t, e, "a", 1)
	if err := e.deleteStream(ctx, streamName("a")); err != nil {
		t.Fatal(err)
	}
	if err := e.Ready(ctx); err != nil {
		t.Error(err)
	}
	member.End()
	begun := time.Now()
	wantErr(t, e.Ready(ctx), engine.ErrUnavailable)
	if took := time.Since(begun); took > readyTimeout+time.Second {
		t.Errorf("it takes %s", took)
	}
}

// What one server does the others see.
func TestTwoServers(t *testing.T) {
	t.Parallel()
	url, ctx := natstest.URL(natstest.Start(t)), t.Context()
	one, two := openAt(t, url), openAt(t, url)
	topic := newTopic(t, one, "a", 1)
	seen, err := two.Topic(ctx, "a")
	if err != nil || seen.Revision != topic.Revision {
		t.Fatalf("the other sees %v, %v", seen, err)
	}
	reader, err := two.Read(ctx, seen, engine.ReadFrom{})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	s, err := one.CreateSubscription(ctx, "s", &storagev1.SubscriptionConfig{Uid: 2})
	if err != nil {
		t.Fatal(err)
	}
	changed := proto.CloneOf(s.Config)
	changed.Paused = true
	updated, err := one.UpdateSubscription(ctx, s, changed)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := two.SubscriptionAt(ctx, "s", updated.Revision); err != nil || !got.Config.GetPaused() {
		t.Errorf("the other sees %v, %v", got, err)
	}
	gone := two.TopicGone(seen)
	if err := one.DeleteTopic(ctx, topic); err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Next(ctx); !errors.Is(err, engine.ErrTopicNotFound) {
		t.Errorf("reading what another server deleted: %v", err)
	}
	<-gone
	_, more := two.SchemaRevisions()
	if err := one.AddSchemaRevision(ctx, 0, &storagev1.SchemaRevision{Revision: "one"}); err != nil {
		t.Fatal(err)
	}
	<-more
	wantErr(t, two.AddSchemaRevision(ctx, 0, &storagev1.SchemaRevision{Revision: "other"}), engine.ErrRevision)
	wantErr(t, two.AddSchemaRevision(ctx, 1, &storagev1.SchemaRevision{Image: make([]byte, 2<<20)}), engine.ErrTooLarge)
	wantErr(t, two.SetSchemaBase(ctx, &storagev1.SchemaRevision{Image: make([]byte, 2<<20)}), engine.ErrTooLarge)
}

// Schemas of a later form keep those after them from being used, and new ones
// from being added.
func TestSchemaRevisionOfALaterForm(t *testing.T) {
	t.Parallel()
	e, ctx := newEngine(t), t.Context()
	if err := e.AddSchemaRevision(ctx, 0, &storagev1.SchemaRevision{Revision: "one"}); err != nil {
		t.Fatal(err)
	}
	if _, err := e.schemas.entries.put(ctx, "2", []byte{0x08, 0x02}, 0); err != nil {
		t.Fatal(err)
	}
	wantErr(t, e.AddSchemaRevision(ctx, 1, &storagev1.SchemaRevision{Revision: "two"}), engine.ErrUnavailable)
	if list, _ := e.SchemaRevisions(); len(list) != 1 || list[0].GetRevision() != "one" {
		t.Errorf("there are %v", list)
	}
}
