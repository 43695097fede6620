package enginetest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"example.com/tidings/server/internal/engine"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
)

func testTopics(t *testing.T, storage Storage) {
	e := opened(t, storage)
	t.Run("life", func(t *testing.T) { testTopicLife(t, e) })
	t.Run("created at once", func(t *testing.T) { testCreatedAtOnce(t, e) })
	t.Run("updated at once", func(t *testing.T) { testUpdatedAtOnce(t, e) })
	t.Run("gone", func(t *testing.T) { testTopicGone(t, e) })
}

func testTopicLife(t *testing.T, e engine.Engine) {
	ctx := testContext(t)
	_, err := e.Topic(ctx, "b")
	wantErr(t, err, engine.ErrTopicNotFound)
	first := newTopic(t, e, "b")
	if first.Config.GetFormat() != engine.ConfigFormat {
		t.Errorf("form %d", first.Config.GetFormat())
	}
	_, err = e.CreateTopic(ctx, "b", topicConfig())
	wantErr(t, err, engine.ErrTopicExists)
	newTopic(t, e, "a")
	var names []string
	for _, topic := range e.Topics() {
		names = append(names, topic.Name)
	}
	if !slices.Equal(names, []string{"a", "b"}) {
		t.Errorf("topics are %q", names)
	}

	changed := proto.CloneOf(first.Config)
	changed.Description = "changed"
	second, err := e.UpdateTopic(ctx, first, changed)
	noErr(t, err)
	if second.Revision <= first.Revision {
		t.Errorf("revision %d after %d", second.Revision, first.Revision)
	}
	_, err = e.UpdateTopic(ctx, first, proto.CloneOf(first.Config))
	wantErr(t, err, engine.ErrRevision)
	wantErr(t, e.DeleteTopic(ctx, first), engine.ErrRevision)
	shown, err := e.Topic(ctx, "b")
	noErr(t, err)
	if shown.Revision != second.Revision || shown.Config.GetDescription() != "changed" {
		t.Errorf("shown as %v", shown)
	}

	noErr(t, e.DeleteTopic(ctx, second))
	_, err = e.Topic(ctx, "b")
	wantErr(t, err, engine.ErrTopicNotFound)
	again := newTopic(t, e, "b")
	if again.Revision <= second.Revision {
		t.Errorf("revision %d after %d", again.Revision, second.Revision)
	}
	_, err = e.UpdateTopic(ctx, second, proto.CloneOf(changed))
	wantErr(t, err, engine.ErrRevision)
	wantErr(t, e.DeleteTopic(ctx, second), engine.ErrRevision)
	if list := all(t, e, again); len(list) > 0 {
		t.Errorf("a new topic holds %v", list)
	}
}

func testCreatedAtOnce(t *testing.T, e engine.Engine) {
	ctx := testContext(t)
	created := 0
	for _, err := range together(10, func(int) error {
		_, err := e.CreateTopic(ctx, "one", topicConfig())
		return err
	}) {
		if err == nil {
			created++
		} else if !errors.Is(err, engine.ErrTopicExists) {
			t.Error(err)
		}
	}
	if created != 1 {
		t.Errorf("created %d times", created)
	}
	topic, err := e.Topic(ctx, "one")
	noErr(t, err)
	stored(t, e, topic, encode(events("1")...))
}

func testUpdatedAtOnce(t *testing.T, e engine.Engine) {
	ctx := testContext(t)
	newTopic(t, e, "updated")
	for _, err := range together(10, func(int) error {
		for {
			topic, err := e.Topic(ctx, "updated")
			if err == nil {
				changed := proto.CloneOf(topic.Config)
				changed.Description += "x"
				_, err = e.UpdateTopic(ctx, topic, changed)
			}
			if !errors.Is(err, engine.ErrRevision) {
				return err
			}
		}
	}) {
		noErr(t, err)
	}
	topic, err := e.Topic(ctx, "updated")
	noErr(t, err)
	if got := topic.Config.GetDescription(); got != "xxxxxxxxxx" {
		t.Errorf("of ten updates %q is left", got)
	}
}

// Who has a topic that is gone hears of it, also where there is another of its
// name.
func testTopicGone(t *testing.T, e engine.Engine) {
	ctx := testContext(t)
	for _, kind := range []optionsv1.Dedupe{optionsv1.Dedupe_DEDUPE_REQUEST, optionsv1.Dedupe_DEDUPE_EVENT} {
		topic := newTopic(t, e, "gone", dedupe(kind))
		first := stored(t, e, topic, encode(events("1", "2")...))[0]
		gone := e.TopicGone(topic)
		select {
		case <-gone:
			t.Fatal("it is said to be gone")
		default:
		}
		noErr(t, e.DeleteTopic(ctx, topic))
		select {
		case <-gone:
		case <-ctx.Done():
			t.Fatal("nothing tells that it is gone")
		}
		<-e.TopicGone(topic)
		for range 2 {
			_, err := e.State(ctx, topic)
			wantErr(t, err, engine.ErrTopicNotFound)
			_, err = e.Latest(ctx, topic)
			wantErr(t, err, engine.ErrTopicNotFound)
			_, err = e.FirstAt(ctx, topic, time.Now())
			wantErr(t, err, engine.ErrTopicNotFound)
			_, _, err = e.Count(ctx, topic, 0)
			wantErr(t, err, engine.ErrTopicNotFound)
			_, err = e.Get(ctx, topic, first)
			wantErr(t, err, engine.ErrTopicNotFound)
			_, err = e.Read(ctx, topic, engine.ReadFrom{})
			wantErr(t, err, engine.ErrTopicNotFound)
			for _, batch := range []*engine.Batch{encode(events("3")...), encode(events("4", "5")...)} {
				_, err = store(t, e, topic, batch)
				wantErr(t, err, engine.ErrTopicNotFound)
			}
			newTopic(t, e, "again")
			if _, err := e.Topic(ctx, "gone"); err != nil {
				newTopic(t, e, "gone", dedupe(kind))
			}
			noErr(t, e.DeleteTopic(ctx, must(e.Topic(ctx, "again"))))
		}
		noErr(t, e.DeleteTopic(ctx, must(e.Topic(ctx, "gone"))))
	}
}

func must[T any](value T, _ error) T { return value }
