// Package enginetest is the suite that every engine passes: what package engine
// promises, tried.
package enginetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/eventlog"
	"example.com/tidings/server/internal/guard"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// Storage makes a storage that holds nothing and returns what opens it. It is
// opened by one at a time, who closes it.
type Storage func(t *testing.T) (open func() engine.Engine)

// Run runs the suite.
func Run(t *testing.T, storage Storage) {
	for name, test := range map[string]func(*testing.T, Storage){
		"topics":        testTopics,
		"append":        testAppend,
		"expectations":  testExpectations,
		"identities":    testIdentities,
		"order":         testOrder,
		"follows":       testFollows,
		"records":       testRecords,
		"reader":        testReader,
		"retention":     testRetention,
		"subscriptions": testSubscriptions,
		"journal":       testJournal,
		"dead letters":  testDeadLetters,
		"schemas":       testSchemas,
		"types":         testTypes,
		"reopen":        testReopen,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, storage)
		})
	}
}

// patience is the time after which a test gives up waiting.
const patience = 2 * time.Minute

// opened opens a storage of its own, until the test ends.
func opened(t *testing.T, storage Storage) engine.Engine {
	t.Helper()
	e := storage(t)()
	t.Cleanup(e.Close)
	if err := e.Ready(testContext(t)); err != nil {
		t.Fatal(err)
	}
	return e
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

func noErr(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// together calls a function n times at once.
func together(n int, f func(i int) error) (errs []error) {
	var group guard.Group
	errs = make([]error, n)
	for i := range n {
		group.Go(func() error { return f(i) }, func(err error) { errs[i] = err })
	}
	group.Wait()
	return errs
}

// until waits until a condition holds.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx := testContext(t)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("it never happens that %s", what)
		}
	}
}

// uids numbers what tests create.
var uids atomic.Uint64

// kinds are the ways in which a topic recognises repetitions.
var kinds = map[string]optionsv1.Dedupe{
	"by request": optionsv1.Dedupe_DEDUPE_REQUEST,
	"by event":   optionsv1.Dedupe_DEDUPE_EVENT,
}

func topicConfig(change ...func(*storagev1.TopicConfig)) *storagev1.TopicConfig {
	config := &storagev1.TopicConfig{
		Uid: uids.Add(1), Dedupe: optionsv1.Dedupe_DEDUPE_REQUEST, DedupeWindow: durationpb.New(time.Hour),
	}
	for _, f := range change {
		f(config)
	}
	return config
}

func dedupe(kind optionsv1.Dedupe) func(*storagev1.TopicConfig) {
	return func(config *storagev1.TopicConfig) { config.Dedupe = kind }
}

func newTopic(t *testing.T, e engine.Engine, name string, change ...func(*storagev1.TopicConfig)) *engine.Topic {
	t.Helper()
	topic, err := e.CreateTopic(testContext(t), name, topicConfig(change...))
	noErr(t, err)
	return topic
}

// event is an event as tests write it. Its identity is its id.
type event struct{ id, key, content string }

func events(ids ...string) (list []event) {
	for _, id := range ids {
		list = append(list, event{id: id})
	}
	return list
}

func identity(id string) engine.ID {
	sum := sha256.Sum256([]byte(id))
	return engine.ID(sum[:len(engine.ID{})])
}

// publisher is who publishes all events of the tests.
const publisher = "key:enginetest"

// encode makes a batch of a topic of whichever kind. The request's id is made of
// those of the events.
func encode(list ...event) *engine.Batch {
	data := eventlog.AppendHeader(nil, publisher)
	batch := &engine.Batch{Head: len(data)}
	var ids strings.Builder
	var content eventlog.Hash
	for _, one := range list {
		raw, err := proto.Marshal(&tidingsv1.Event{Id: one.id, Source: "/" + one.content, PartitionKey: new(one.key)})
		if err != nil {
			panic(err)
		}
		data = eventlog.AppendEvent(data, raw, "")
		hash := eventlog.HashOf(raw)
		content.Add(hash)
		ids.WriteString("/" + one.id)
		batch.Events = append(batch.Events, engine.BatchEvent{End: len(data), Key: one.key, ID: identity(one.id), Hash: hash})
	}
	batch.Data, batch.ID, batch.Hash = data, identity(ids.String()), content.Sum()
	return batch
}

// expecting adds an expectation to a batch.
func expecting(batch *engine.Batch, key string, last int64) *engine.Batch {
	batch.Expect = append(batch.Expect, engine.Expectation{Key: key, Last: last})
	return batch
}

func store(t *testing.T, e engine.Engine, topic *engine.Topic, batch *engine.Batch) (engine.Appended, error) {
	t.Helper()
	ctx := testContext(t)
	started, err := e.Start(ctx, topic, batch, nil)
	if err != nil {
		return engine.Appended{}, err
	}
	return started.Wait(ctx)
}

// stored stores a batch and returns the sequences of its events.
func stored(t *testing.T, e engine.Engine, topic *engine.Topic, batch *engine.Batch) (sequences []int64) {
	t.Helper()
	appended, err := store(t, e, topic, batch)
	noErr(t, err)
	for i := range batch.Events {
		place := appended.Of(i)
		if place.Duplicate {
			t.Errorf("event %d is a duplicate", i)
		}
		sequences = append(sequences, place.Sequence)
	}
	return sequences
}

// wantDuplicate stores a batch that is stored already.
func wantDuplicate(t *testing.T, e engine.Engine, topic *engine.Topic, batch *engine.Batch, sequences ...int64) {
	t.Helper()
	appended, err := store(t, e, topic, batch)
	noErr(t, err)
	for i, want := range sequences {
		if place := appended.Of(i); !place.Duplicate || place.Sequence != want {
			t.Errorf("event %d is at %+v, want a duplicate of %d", i, place, want)
		}
	}
}

// found is an event that was read.
type found struct {
	sequence int64
	id       string
}

// inside returns the events of a record.
func inside(t *testing.T, record engine.Record) (list []found) {
	t.Helper()
	if got := eventlog.HeaderOf(record.Data).Publisher; string(got) != publisher {
		t.Errorf("the record %d was published by %q", record.First, got)
	}
	raws, err := eventlog.Events(record.First, record.Data, nil)
	noErr(t, err)
	for i, raw := range raws {
		var decoded tidingsv1.Event
		noErr(t, proto.Unmarshal(raw, &decoded))
		list = append(list, found{record.First + int64(i), decoded.GetId()})
	}
	if record.Last < record.First+int64(len(raws))-1 {
		t.Errorf("a record of %d events from %d to %d", len(raws), record.First, record.Last)
	}
	return list
}

// all reads what is there of a topic.
func all(t *testing.T, e engine.Engine, topic *engine.Topic) (list []found) {
	t.Helper()
	ctx := testContext(t)
	reader, err := e.Read(ctx, topic, engine.ReadFrom{})
	noErr(t, err)
	defer reader.Close()
	last := int64(-1)
	for more := reader.More(); more; {
		record, err := reader.Next(ctx)
		noErr(t, err)
		if record.First <= last {
			t.Errorf("record %d comes after %d", record.First, last)
		}
		list = append(list, inside(t, record)...)
		more, last = record.More, record.Last
	}
	return list
}
