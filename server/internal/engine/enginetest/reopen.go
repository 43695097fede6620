package enginetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"example.com/tidings/server/internal/engine"
)

// What was stored is there after the storage is closed and opened again.
func testReopen(t *testing.T, storage Storage) {
	open := storage(t)
	e, ctx := open(), testContext(t)
	places := make(map[string][]int64)
	contents := make(map[string][]found)
	for name, kind := range kinds {
		topic := newTopic(t, e, strings.ReplaceAll(name, " ", "-"), dedupe(kind))
		for i := range 20 {
			id := fmt.Sprint(i)
			places[name+id] = stored(t, e, topic, encode(events(id, id+"+", id+"++")...))
		}
		contents[name] = all(t, e, topic)
	}
	deleted := newTopic(t, e, "deleted")
	noErr(t, e.DeleteTopic(ctx, deleted))
	s := newSubscription(t, e, "s")
	changed := proto.CloneOf(s.Config)
	changed.Description = "changed"
	s, err := e.UpdateSubscription(ctx, s, changed)
	noErr(t, err)
	j := e.Journal(s)
	noErr(t, j.Append(ctx, entries("1"), nil, nil))
	noErr(t, j.Compact(ctx, entries("2", "3")))
	noErr(t, e.PutDeadLetters(ctx, s, letters(9, 8)))

	for range 2 {
		e.Close()
		e = open()
		for name := range kinds {
			contents[name] = testReopened(t, e, name, places, contents[name])
		}
		_, err = e.Topic(ctx, "deleted")
		wantErr(t, err, engine.ErrTopicNotFound)
		shown, err := e.Subscription(ctx, "s")
		noErr(t, err)
		if shown.Revision != s.Revision || shown.Config.GetDescription() != "changed" {
			t.Errorf("the subscription is %v", shown)
		}
		j := e.Journal(shown)
		wantErr(t, j.Append(ctx, entries("x"), nil, nil), engine.ErrSequence)
		wantEntries(t, replayed(t, j), "2", "3")
		wantLetters(t, e, shown, 9, 8)
		if again := newTopic(t, e, "deleted"); again.Revision <= deleted.Revision {
			t.Errorf("revision %d after %d", again.Revision, deleted.Revision)
		} else {
			noErr(t, e.DeleteTopic(ctx, again))
			deleted = again
		}
	}
	e.Close()
}

// testReopened looks at a topic of which is known what it held, and returns what it
// holds now.
func testReopened(t *testing.T, e engine.Engine, name string, places map[string][]int64, content []found) []found {
	t.Helper()
	topic, err := e.Topic(testContext(t), strings.ReplaceAll(name, " ", "-"))
	noErr(t, err)
	if got := all(t, e, topic); !slices.Equal(got, content) {
		t.Errorf("%s: there are %v, want %v", name, got, content)
	}
	for i := range 20 {
		id := fmt.Sprint(i)
		wantDuplicate(t, e, topic, encode(events(id, id+"+", id+"++")...), places[name+id]...)
	}
	last := content[len(content)-1].sequence
	id := fmt.Sprint("after ", last)
	next := stored(t, e, topic, expecting(encode(events(id)...), "", last))[0]
	if next <= last {
		t.Errorf("%s: %d after %d", name, next, last)
	}
	return append(content, found{next, id})
}
