package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"example.com/tidings/server/internal/engine"
)

// eventPlace says in a damage which event it is about.
func eventPlace(sequence int64) string { return fmt.Sprintf("the event with sequence %d", sequence) }

// errGap says that events are missing that nothing removed.
var errGap = errors.New("it is missing")

// Get returns the record that holds the event with a sequence.
func (e *Engine) Get(_ context.Context, topic *engine.Topic, sequence int64) (engine.Record, error) {
	t, err := e.topicLog(topic)
	if err != nil {
		return engine.Record{}, err
	}
	x := t.extentNow()
	if sequence < x.first || sequence >= x.end || x.explains(sequence, sequence+1) {
		return engine.Record{}, engine.ErrRecordNotFound
	}
	record, err := e.recordOf(t, sequence)
	if err == nil {
		return record, nil
	}
	if x = t.extentNow(); sequence < x.first { // Removed meanwhile.
		return engine.Record{}, engine.ErrRecordNotFound
	}
	return engine.Record{}, e.failed(t, eventPlace(sequence), err)
}

// recordOf reads the record that holds an event which is there.
func (e *Engine) recordOf(t *topicLog, sequence int64) (engine.Record, error) {
	iter, err := e.db.NewIter(recordBounds(t.uid, 0, sequence+1))
	if err != nil {
		return engine.Record{}, err
	}
	defer iter.Close() //nolint:errcheck // Error says it.
	if !iter.Last() {
		return engine.Record{}, errors.Join(iter.Error(), broken(errGap))
	}
	record, err := recordAt(iter)
	if err == nil && record.Last < sequence {
		err = broken(errGap)
	}
	return record, err
}

// beginOf returns where the record begins that holds an event, or the sequence
// itself where there is none.
func (e *Engine) beginOf(t *topicLog, sequence int64) (int64, error) {
	iter, err := e.db.NewIter(recordBounds(t.uid, 0, sequence+1))
	if err != nil {
		return 0, e.failed(t, eventPlace(sequence), err)
	}
	defer iter.Close() //nolint:errcheck // Error says it.
	if !iter.Last() {
		return sequence, e.failed(t, eventPlace(sequence), iter.Error())
	}
	first := numberOf(iter.Key())
	info, data, err := parseRecord(iter.Value())
	if err != nil || info.record(first, data).Last < sequence { // Reading it is to find what is wrong.
		return sequence, nil
	}
	return first, nil
}

// recordAt returns the record that an iterator is at, in memory of its own.
func recordAt(iter *pebble.Iterator) (engine.Record, error) {
	value, err := iter.ValueAndErr()
	if err != nil {
		return engine.Record{}, err
	}
	return recordIn(numberOf(iter.Key()), value)
}

// recordIn returns a record with its value, in memory of its own.
func recordIn(first int64, value []byte) (engine.Record, error) {
	info, data, err := parseRecord(value)
	if err != nil {
		return engine.Record{}, broken(err)
	}
	return info.record(first, bytes.Clone(data)), nil
}

// FirstAt returns the lowest sequence of an event that was stored at a time or
// later, or State.End where there is none.
func (e *Engine) FirstAt(_ context.Context, topic *engine.Topic, at time.Time) (int64, error) {
	t, err := e.topicLog(topic)
	if err != nil {
		return 0, err
	}
	x := t.extentNow()
	first, err := e.firstAt(t, &x, at)
	if t.deleted.Load() { // Then it may not be the first.
		return 0, engine.ErrTopicNotFound
	}
	return first, err
}

func (e *Engine) firstAt(t *topicLog, x *extent, at time.Time) (int64, error) {
	// What is before low was stored before the time, and what is from high on
	// wasn't.
	low, high := x.first, x.end
	if low == high || time.Unix(0, x.time).Before(at) {
		return x.end, nil
	}
	iter, err := e.db.NewIter(recordBounds(t.uid, x.first, x.end))
	if err != nil {
		return 0, e.failed(t, eventPlace(low), err)
	}
	defer iter.Close() //nolint:errcheck // Error says it.
	found := high
	for low < high {
		middle := low + (high-low)/2
		if !iter.SeekGE(numberKey(kindRecord, t.uid, middle)) {
			if err := iter.Error(); err != nil {
				return 0, e.failed(t, eventPlace(middle), err)
			}
			high = middle
			continue
		}
		first := numberOf(iter.Key())
		info, _, err := parseRecord(iter.Value())
		switch {
		case err != nil:
			return 0, e.damaged(t, eventPlace(first), err)
		case time.Unix(0, info.time).Before(at):
			low = first + 1
		default:
			high, found = middle, first
		}
	}
	return found, nil
}
