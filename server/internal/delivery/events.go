package delivery

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"google.golang.org/protobuf/proto"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/eventlog"

	storagev1 "example.com/tidings/gen/go/tidings/storage/v1"
)

// event is an event as it is stored.
type event struct {
	raw         []byte
	sequence    int64
	after       int64 // The position of its cursor.
	publishTime time.Time
	revision    []byte // Of the schemas that it was checked against; may be empty.
}

// record is a record of the topic, taken apart.
type record struct {
	sequence uint64
	time     time.Time
	events   [][]byte
	size     int
	revision []byte
}

func newRecord(stored engine.Record) (*record, error) {
	events, err := eventlog.Events(stored.Sequence, stored.Data, nil)
	if err != nil {
		return nil, err
	}
	return &record{sequence: stored.Sequence, time: stored.Time, events: events, size: len(stored.Data), revision: eventlog.Revision(stored.Data)}, nil
}

func (r *record) event(index int) event {
	after := eventlog.SequenceOf(r.sequence, index)
	if index == len(r.events)-1 {
		after = eventlog.After(r.sequence)
	}
	return event{
		raw:         r.events[index],
		sequence:    eventlog.SequenceOf(r.sequence, index),
		after:       after,
		publishTime: r.time,
		revision:    r.revision,
	}
}

// maxCached bounds the records that an owner keeps, in bytes: those from which
// events are likely to be delivered again.
const maxCached = 16 << 20

// events finds events by their sequence. It is for one goroutine.
type events struct {
	owner *owner
	used  *list.List // Of *record, the last used first.
	byRec map[uint64]*list.Element
	bytes int
	first uint64 // Retention has removed every record before it.
}

func newEvents(o *owner) *events {
	return &events{owner: o, used: list.New(), byRec: make(map[uint64]*list.Element)}
}

// keep keeps a record for later.
func (e *events) keep(r *record) {
	if _, known := e.byRec[r.sequence]; known || r.size > maxCached {
		return
	}
	e.byRec[r.sequence] = e.used.PushFront(r)
	e.bytes += r.size
	for e.bytes > maxCached {
		last := e.used.Back()
		old := e.used.Remove(last).(*record) //nolint:forcetypeassert // It holds nothing else.
		delete(e.byRec, old.sequence)
		e.bytes -= old.size
	}
}

// topicEvent returns an event of the topic, or engine.ErrRecordNotFound.
func (e *events) topicEvent(sequence int64) (event, error) {
	if e.owner.topic == nil {
		return event{}, engine.ErrRecordNotFound
	}
	number, index := eventlog.Split(sequence)
	r, err := e.record(number)
	if err != nil {
		return event{}, err
	}
	if index >= len(r.events) {
		return event{}, engine.ErrRecordNotFound
	}
	return r.event(index), nil
}

func (e *events) record(number uint64) (*record, error) {
	if element, known := e.byRec[number]; known {
		e.used.MoveToFront(element)
		return element.Value.(*record), nil //nolint:forcetypeassert // It holds nothing else.
	}
	if number < e.first {
		return nil, engine.ErrRecordNotFound
	}
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	stored, err := e.owner.hub.engine.Get(ctx, e.owner.topic, number)
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
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
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
	key, err := eventlog.PartitionKey(raw)
	if err != nil || key == "" {
		return 0, err
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(key)) // It never fails.
	return max(h.Sum64(), 1), nil
}
