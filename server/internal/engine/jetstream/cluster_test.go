package jetstream_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsstream "github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/engine/jetstream"
	"example.com/tidings/server/internal/engine/jetstream/natstest"
	"example.com/tidings/server/internal/eventlog"
	"example.com/tidings/server/internal/guard"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

func newTopic(t *testing.T, e engine.Engine, name string, kind optionsv1.Dedupe) *engine.Topic {
	t.Helper()
	topic, err := e.CreateTopic(t.Context(), name, &storagev1.TopicConfig{
		Uid: uint64(time.Now().UnixNano()), Dedupe: kind, DedupeWindow: durationpb.New(time.Minute),
	})
	if err != nil {
		t.Fatal(err)
	}
	return topic
}

func newSubscription(t *testing.T, e engine.Engine, name string) *engine.Subscription {
	t.Helper()
	s, err := e.CreateSubscription(t.Context(), name, &storagev1.SubscriptionConfig{Uid: uint64(time.Now().UnixNano())})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// batch is a batch of events with ids of one byte.
func batch(ids string) *engine.Batch {
	data := eventlog.AppendHeader(nil, "")
	b := &engine.Batch{Head: len(data)}
	for i := range len(ids) {
		data = eventlog.AppendEvent(data, []byte{0x0a, 1, ids[i]}, "")
		b.Events = append(b.Events, engine.BatchEvent{End: len(data), ID: engine.ID{ids[i]}, Hash: uint64(ids[i])})
	}
	b.Data, b.Hash = data, 1
	copy(b.ID[:], ids)
	return b
}

func store(ctx context.Context, e engine.Engine, topic *engine.Topic, b *engine.Batch) (engine.Appended, error) {
	started, err := e.Start(ctx, topic, b, nil)
	if err != nil {
		return engine.Appended{}, err
	}
	return started.Wait(ctx)
}

// eventually repeats a call that may be refused while NATS finds a leader.
func eventually(t *testing.T, f func() error) {
	t.Helper()
	for deadline := time.Now().Add(40 * time.Second); ; {
		err := f()
		if err == nil {
			return
		}
		if !errors.Is(err, engine.ErrUnavailable) || time.Now().After(deadline) {
			t.Fatal(err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// copies returns how many copies there are of the streams with a prefix.
func copies(t *testing.T, url string) map[string]int {
	t.Helper()
	conn, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := natsstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	result := make(map[string]int)
	list := js.ListStreams(t.Context())
	for info := range list.Info() {
		result[info.Config.Name] = info.Config.Replicas
	}
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
	return result
}

// wantCopies waits until there are so many streams, each with so many copies.
func wantCopies(t *testing.T, url string, streams, want int) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; {
		got, right := copies(t, url), 0
		for _, replicas := range got {
			if replicas == want {
				right++
			}
		}
		if len(got) == streams && right == streams {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the streams have %v copies, want %d of %d streams", got, want, streams)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// A server that is started with fewer replicas takes none away, one with more adds
// some, and what fails with the loss of a quorum is there all the same.
func TestCluster(t *testing.T) {
	t.Parallel()
	members := natstest.Cluster(t)
	url := natstest.URL(members...)
	one := open(t, url, 1)
	newTopic(t, one, "first", optionsv1.Dedupe_DEDUPE_REQUEST)
	wantCopies(t, url, 5, 1)
	three := open(t, url, 3)
	wantCopies(t, url, 5, 3)
	again := open(t, url, 1)
	defer again.Close()
	topic := newTopic(t, again, "second", optionsv1.Dedupe_DEDUPE_EVENT)
	s := newSubscription(t, one, "s") // It has learnt of the others.
	wantCopies(t, url, 8, 3)
	for _, e := range []*jetstream.Engine{one, three, again} {
		if got := e.Status(); got.Replicas != 3 || len(got.Servers) == 0 {
			t.Errorf("the status is %+v", got)
		}
	}
	one.Close()
	three.Close()
	testQuorum(t, members, again, topic, s)
}

func testQuorum(t *testing.T, members []*natstest.Server, e *jetstream.Engine, topic *engine.Topic, s *engine.Subscription) {
	t.Helper()
	ctx := t.Context()
	if _, err := store(ctx, e, topic, batch("ab")); err != nil {
		t.Fatal(err)
	}
	reader, err := e.Read(ctx, topic, engine.ReadFrom{})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	journal := e.Journal(s)
	if err := journal.Append(ctx, [][]byte{[]byte("1")}, nil, nil); err != nil {
		t.Fatal(err)
	}
	members[1].End()
	members[2].End()
	testWithoutQuorum(t, e, topic, s, journal)
	members[1].Restart(t)
	members[2].Restart(t)
	eventually(t, func() error { return e.Ready(ctx) })
	eventually(t, func() error { return second(store(ctx, e, topic, batch("c"))) })
	eventually(t, func() error { return second(store(ctx, e, topic, batch("de"))) })
	reading, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for range 5 {
		eventually(t, func() error { return second(reader.Next(reading)) })
	}
	eventually(t, func() error { return e.Journal(s).Replay(ctx, func([]byte) error { return nil }) })
}

// testWithoutQuorum says of nothing that is there that it isn't. What is read may
// come from one who led, until that knows that it is alone.
func testWithoutQuorum(t *testing.T, e *jetstream.Engine, topic *engine.Topic, s *engine.Subscription, journal engine.Journal) {
	t.Helper()
	ctx := t.Context()
	var calls guard.Group
	check := func(name string, f func() error, readable bool) {
		calls.Go(func() error {
			for begun := time.Now(); ; {
				err := f()
				switch {
				case errors.Is(err, engine.ErrUnavailable), err == nil && readable:
					return nil
				case err != nil:
					return err
				case time.Since(begun) > 30*time.Second:
					return errors.New("it works")
				}
			}
		}, func(err error) {
			if err != nil {
				t.Errorf("%s without a quorum: %v", name, err)
			}
		})
	}
	for name, f := range map[string]func() error{
		"append":        func() error { return second(store(ctx, e, topic, batch("c"))) },
		"append of two": func() error { return second(store(ctx, e, topic, batch("de"))) },
		"create":        func() error { return second(e.CreateTopic(ctx, "third", &storagev1.TopicConfig{Uid: 3})) },
		"journal":       func() error { return journal.Append(ctx, [][]byte{[]byte("2")}, nil, nil) },
		"dead letters":  func() error { return e.PutDeadLetters(ctx, s, []engine.DeadLetter{{Sequence: 1}}) },
		"ready":         func() error { return e.Ready(ctx) },
	} {
		check(name, f, false)
	}
	for name, f := range map[string]func() error{
		"state":  func() error { return second(e.State(ctx, topic)) },
		"latest": func() error { return second(e.Latest(ctx, topic)) },
		"read":   func() error { return second(e.Read(ctx, topic, engine.ReadFrom{})) },
		"replay": func() error { return e.Journal(s).Replay(ctx, func([]byte) error { return nil }) },
		"count":  func() error { return second(e.DeadLetterCount(ctx, s)) },
	} {
		check(name, f, true)
	}
	calls.Wait()
}

func second[T any](_ T, err error) error { return err }
