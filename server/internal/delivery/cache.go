package delivery

import (
	"bytes"
	"context"
	"errors"
	"hash/fnv"
	"slices"
	"time"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/eventlog"
	"example.com/tidings/server/internal/eventwire"
)

// event is an event as it is stored.
type event struct {
	recording

	raw      []byte
	sequence int64
	after    int64 // The position of its cursor.
}

// recording is what the server said of an event when it stored it.
type recording struct {
	publishTime time.Time
	revision    []byte // Of the type that it was checked against; may be empty.
	publisher   []byte // May be empty.
}

func (r recording) equal(other recording) bool {
	return r.publishTime.Equal(other.publishTime) && bytes.Equal(r.revision, other.revision) && bytes.Equal(r.publisher, other.publisher)
}

// record is a record of the topic, taken apart.
type record struct {
	first, last int64 // As engine.Record has them.
	time        time.Time
	events      [][]byte
	size        int
	header      eventlog.Header
}

func newRecord(stored engine.Record) (*record, error) {
	events, err := eventlog.Events(stored.First, stored.Data, nil)
	if err != nil {
		return nil, err
	}
	return &record{
		first: stored.First, last: stored.Last, time: stored.Time, events: events,
		size: len(stored.Data), header: eventlog.HeaderOf(stored.Data),
	}, nil
}

func (r *record) event(index int) event {
	sequence := r.first + int64(index)
	after := sequence
	if index == len(r.events)-1 {
		after = r.last
	}
	return event{
		recording: recording{publishTime: r.time, revision: r.header.Revisions.Of(index), publisher: r.header.Publisher},
		raw:       r.events[index], sequence: sequence, after: after,
	}
}

// maxCached bounds the records that an owner keeps, in bytes: those from which
// events are likely to be delivered again.
const maxCached = 16 << 20

// cache finds events of a topic by their sequence. It is for one goroutine.
type cache struct {
	engine  engine.Engine
	timeout time.Duration // Of reading a record.

	kept  []*record // In the order of their sequences.
	bytes int
	first int64 // Retention has removed every event before it.
}

// keep keeps a record for later, in the place of the oldest.
func (c *cache) keep(r *record) {
	place, known := c.find(r.first)
	if known || r.size > maxCached {
		return
	}
	c.kept = slices.Insert(c.kept, place, r)
	c.bytes += r.size
	for c.bytes > maxCached {
		c.bytes -= c.kept[0].size
		c.kept[0] = nil
		c.kept = c.kept[1:]
	}
}

// find returns where the record that holds a sequence is, or would be.
func (c *cache) find(sequence int64) (place int, known bool) {
	return slices.BinarySearchFunc(c.kept, sequence, func(r *record, sequence int64) int {
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

// event returns an event of a topic, or engine.ErrRecordNotFound. The topic is nil
// where there is none any more.
func (c *cache) event(topic *engine.Topic, sequence int64) (event, error) {
	if topic == nil {
		return event{}, engine.ErrRecordNotFound
	}
	r, err := c.record(topic, sequence)
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
func (c *cache) record(topic *engine.Topic, sequence int64) (*record, error) {
	if place, known := c.find(sequence); known {
		return c.kept[place], nil
	}
	if sequence < c.first {
		return nil, engine.ErrRecordNotFound
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.timeout)
	defer cancel()
	stored, err := c.engine.Get(ctx, topic, sequence)
	if errors.Is(err, engine.ErrTopicNotFound) {
		return nil, engine.ErrRecordNotFound
	}
	if errors.Is(err, engine.ErrRecordNotFound) {
		if state, stateErr := c.engine.State(ctx, topic); stateErr == nil {
			c.first = max(c.first, state.First)
		}
	}
	if err != nil {
		return nil, err
	}
	r, err := newRecord(stored)
	if err != nil {
		return nil, err
	}
	c.keep(r)
	return r, nil
}

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
