package delivery

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/eventlog"
	"example.com/tidings/server/internal/eventwire"

	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// event is an event as it is stored.
type event struct {
	raw         []byte
	sequence    int64
	after       int64 // The position of its cursor.
	publishTime time.Time
	revision    []byte // Of the type that it was checked against; may be empty.
}

// record is a record of the topic, taken apart.
type record struct {
	first, last int64 // As engine.Record has them.
	time        time.Time
	events      [][]byte
	size        int
	revisions   eventlog.Revisions
}

func newRecord(stored engine.Record) (*record, error) {
	events, err := eventlog.Events(stored.First, stored.Data, nil)
	if err != nil {
		return nil, err
	}
	return &record{
		first: stored.First, last: stored.Last, time: stored.Time, events: events,
		size: len(stored.Data), revisions: eventlog.RevisionsOf(stored.Data),
	}, nil
}

func (r *record) event(index int) event {
	sequence := r.first + int64(index)
	after := sequence
	if index == len(r.events)-1 {
		after = r.last
	}
	return event{raw: r.events[index], sequence: sequence, after: after, publishTime: r.time, revision: r.revisions.Of(index)}
}

// maxCached bounds the records that an owner keeps, in bytes: those from which
// events are likely to be delivered again.
const maxCached = 16 << 20

// events finds events by their sequence. It is for one goroutine.
type events struct {
	owner *owner
	kept  []*record // In the order of their sequences.
	bytes int
	first int64 // Retention has removed every event before it.
}

func newEvents(o *owner) *events { return &events{owner: o} }

// keep keeps a record for later, in the place of the oldest.
func (e *events) keep(r *record) {
	place, known := e.find(r.first)
	if known || r.size > maxCached {
		return
	}
	e.kept = slices.Insert(e.kept, place, r)
	e.bytes += r.size
	for e.bytes > maxCached {
		e.bytes -= e.kept[0].size
		e.kept[0] = nil
		e.kept = e.kept[1:]
	}
}

// find returns where the record that holds a sequence is, or would be.
func (e *events) find(sequence int64) (place int, known bool) {
	return slices.BinarySearchFunc(e.kept, sequence, func(r *record, sequence int64) int {
		switch {
		case r.last < sequence:
			return -1
		case r.first > sequence:
			return 1
		default:
			return 0
		}
	})
}

// topicEvent returns an event of the topic, or engine.ErrRecordNotFound.
func (e *events) topicEvent(sequence int64) (event, error) {
	if e.owner.topic == nil {
		return event{}, engine.ErrRecordNotFound
	}
	r, err := e.record(sequence)
	if err != nil {
		return event{}, err
	}
	index := int(sequence - r.first)
	if index >= len(r.events) {
		return event{}, engine.ErrRecordNotFound
	}
	return r.event(index), nil
}

// record returns the record that holds a sequence.
func (e *events) record(sequence int64) (*record, error) {
	if place, known := e.find(sequence); known {
		return e.kept[place], nil
	}
	if sequence < e.first {
		return nil, engine.ErrRecordNotFound
	}
	ctx, cancel := context.WithTimeout(context.Background(), e.owner.hub.writeTimeout)
	defer cancel()
	stored, err := e.owner.hub.engine.Get(ctx, e.owner.topic, sequence)
	if errors.Is(err, engine.ErrTopicNotFound) {
		return nil, engine.ErrRecordNotFound
	}
	if errors.Is(err, engine.ErrRecordNotFound) {
		if state, stateErr := e.owner.hub.engine.State(ctx, e.owner.topic); stateErr == nil {
			e.first = max(e.first, state.First)
		}
	}
	if err != nil {
		return nil, err
	}
	r, err := newRecord(stored)
	if err != nil {
		return nil, err
	}
	e.keep(r)
	return r, nil
}

// deadLetter returns a dead letter of the subscription and its event, or
// engine.ErrRecordNotFound.
func (e *events) deadLetter(sequence int64) (*storagev1.DeadLetterRecord, event, error) {
	ctx, cancel := context.WithTimeout(context.Background(), e.owner.hub.writeTimeout)
	defer cancel()
	stored, err := e.owner.hub.engine.DeadLetter(ctx, e.owner.subscription, sequence)
	if err != nil {
		return nil, event{}, err
	}
	letter, err := DecodeDeadLetter(stored.Data)
	if err != nil {
		return nil, event{}, fmt.Errorf("dead letter of event %d: %w", sequence, err)
	}
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(letter.GetEvent())
	if err != nil {
		return nil, event{}, err
	}
	after, ok := eventlog.ParseCursor(e.owner.subscription.Config.GetTopicUid(), letter.GetCursor())
	if !ok {
		return nil, event{}, fmt.Errorf("dead letter of event %d: its cursor is not one", sequence)
	}
	return letter, event{raw: raw, sequence: sequence, after: after, publishTime: letter.GetPublishTime().AsTime(), revision: letter.GetSchemaRevision()}, nil
}

// DecodeDeadLetter decodes what the engine has of a dead letter.
func DecodeDeadLetter(data []byte) (*storagev1.DeadLetterRecord, error) {
	letter := new(storagev1.DeadLetterRecord)
	if err := proto.Unmarshal(data, letter); err != nil {
		return nil, err
	}
	if letter.GetFormat() != deadLetterFormat {
		return nil, fmt.Errorf("form %d is not known: a later release wrote it", letter.GetFormat())
	}
	return letter, nil
}

// deadLetterFormat is the form of dead letters that this release writes.
const deadLetterFormat = 1

// keyHash is the hash of a partition key by which the machine keeps order: 0
// for none.
func keyHash(raw []byte) (uint64, error) {
	key, err := eventwire.PartitionKey(raw)
	if err != nil || key == "" {
		return 0, err
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(key)) // It never fails.
	return max(h.Sum64(), 1), nil
}
