package enginetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/tidings/server/internal/engine"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// What is sent again isn't stored again.
func testIdentities(t *testing.T, storage Storage) {
	e := opened(t, storage)
	t.Run("of requests", func(t *testing.T) { testRequestIdentity(t, e) })
	t.Run("of events", func(t *testing.T) { testEventIdentity(t, e) })
	t.Run("at once", func(t *testing.T) { testSentAtOnce(t, e) })
	t.Run("window", func(t *testing.T) { testWindow(t, e) })
}

func testRequestIdentity(t *testing.T, e engine.Engine) {
	topic := newTopic(t, e, "requests")
	stored(t, e, topic, encode(events("0")...))
	sequences := stored(t, e, topic, encode(events("1", "2")...))
	wantDuplicate(t, e, topic, encode(events("1", "2")...), sequences...)
	// The identity of an event is of no matter.
	stored(t, e, topic, encode(events("1")...))

	other := encode(event{id: "1"}, event{"2", "", "other"})
	_, err := store(t, e, topic, other)
	wantConflict(t, err, engine.ConflictError{Event: 0, Sequence: sequences[0], Hash: encode(events("1", "2")...).Hash})
	// Who knows better says so.
	other.Hash = encode(events("1", "2")...).Hash
	wantDuplicate(t, e, topic, other, sequences...)
	if list := all(t, e, topic); len(list) != 4 {
		t.Errorf("there are %v", list)
	}
}

func wantConflict(t *testing.T, err error, want engine.ConflictError) {
	t.Helper()
	wantErr(t, err, engine.ErrConflict)
	var conflict *engine.ConflictError
	if !errors.As(err, &conflict) || conflict.Event != want.Event || conflict.Sequence != want.Sequence || conflict.Hash != want.Hash {
		t.Errorf("the conflict is %+v, want %+v", conflict, want)
	}
}

func testEventIdentity(t *testing.T, e engine.Engine) {
	topic := newTopic(t, e, "events", dedupe(optionsv1.Dedupe_DEDUPE_EVENT))
	sequences := stored(t, e, topic, encode(events("1", "2", "3")...))
	wantDuplicate(t, e, topic, encode(events("1", "2", "3")...), sequences...)
	wantDuplicate(t, e, topic, encode(events("2")...), sequences[1])
	wantDuplicate(t, e, topic, encode(events("3", "1")...), sequences[2], sequences[0])

	// What is new of a batch is stored.
	appended, err := store(t, e, topic, encode(events("4", "2", "5")...))
	noErr(t, err)
	want := []engine.Place{{Sequence: appended.Each[0].Sequence}, {Sequence: sequences[1], Duplicate: true}, {Sequence: appended.Each[2].Sequence}}
	if !slices.Equal(appended.Each, want) || want[0].Sequence <= sequences[2] || want[2].Sequence <= want[0].Sequence {
		t.Errorf("they are at %v", appended.Each)
	}

	// Nothing is stored of a batch with an event whose identity is taken.
	for _, ids := range [][]string{{"2"}, {"new", "2", "newer"}, {"1", "2"}} {
		list := events(ids...)
		at := slices.Index(ids, "2")
		list[at].content = "other"
		other := encode(list...)
		_, err := store(t, e, topic, other)
		wantConflict(t, err, engine.ConflictError{Event: at, Sequence: sequences[1], Hash: encode(events("2")...).Events[0].Hash})
	}
	list := events("2", "last")
	list[0].content = "other"
	other := encode(list...)
	other.Events[0].Hash = encode(events("2")...).Events[0].Hash
	appended, err = store(t, e, topic, other)
	noErr(t, err)
	if appended.Each[0] != (engine.Place{Sequence: sequences[1], Duplicate: true}) || appended.Each[1].Duplicate {
		t.Errorf("they are at %v", appended.Each)
	}
	if list := all(t, e, topic); len(list) != 6 {
		t.Errorf("there are %v", list)
	}
}

// What many send at once is stored once.
func testSentAtOnce(t *testing.T, e engine.Engine) {
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			topic := newTopic(t, e, fmt.Sprint("at-once-", int(kind)), dedupe(kind))
			ctx := testContext(t)
			const senders = 8
			var places [senders]engine.Place
			for _, err := range together(senders, func(i int) error {
				started, err := e.Start(ctx, topic, encode(events("a", "b")...), nil)
				if err != nil {
					return err
				}
				appended, err := started.Wait(ctx)
				if err == nil {
					places[i] = appended.Of(0)
				}
				return err
			}) {
				noErr(t, err)
			}
			fresh := 0
			for _, place := range places {
				if !place.Duplicate {
					fresh++
				}
				if place.Sequence != places[0].Sequence {
					t.Errorf("it is at %d and at %d", places[0].Sequence, place.Sequence)
				}
			}
			if list := all(t, e, topic); fresh != 1 || len(list) != 2 {
				t.Errorf("%d of them were new, there are %v", fresh, list)
			}
		})
	}
}

// Behind the window an identity is free.
func testWindow(t *testing.T, e engine.Engine) {
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			topic := newTopic(t, e, fmt.Sprint("window-", int(kind)), dedupe(kind), func(config *storagev1.TopicConfig) {
				config.DedupeWindow = durationpb.New(300 * time.Millisecond)
			})
			first := stored(t, e, topic, encode(events("a", "b")...))
			until(t, "the identity is free", func() bool {
				appended, err := store(t, e, topic, encode(events("a", "b")...))
				noErr(t, err)
				if place := appended.Of(0); place.Duplicate {
					if place.Sequence != first[0] {
						t.Errorf("a duplicate is at %d, not %d", place.Sequence, first[0])
					}
					return false
				}
				return true
			})
			list := all(t, e, topic)
			if len(list) != 4 || list[2].id != "a" || list[3].id != "b" {
				t.Errorf("there are %v", list)
			}
		})
	}
}
