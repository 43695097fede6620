package jetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/eventlog"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
)

// byEvent reports whether a topic recognises events one by one, and so keeps each in
// a record of its own.
func byEvent(topic *engine.Topic) bool {
	return topic.Config.GetDedupe() == optionsv1.Dedupe_DEDUPE_EVENT
}

// State implements engine.Records.
func (e *Engine) State(ctx context.Context, topic *engine.Topic) (engine.State, error) {
	return topicCall(ctx, e, topic, func(ctx context.Context) (engine.State, error) {
		state, err := e.streamState(ctx, topic)
		if err != nil {
			return engine.State{}, err
		}
		result := engine.State{
			First: sequenceOf(state.FirstSeq, 0),
			End:   sequenceOf(state.LastSeq+1, 0),
			Bytes: int64(state.Bytes),
		}
		if state.LastSeq > 0 {
			result.LastTime = state.LastTime
		}
		if state.Msgs == 0 {
			result.First = result.End
		}
		return result, nil
	})
}

func (e *Engine) streamState(ctx context.Context, topic *engine.Topic) (jetstream.StreamState, error) {
	info, err := e.reads.info(ctx, streamName(topic.Name))
	if err != nil {
		return jetstream.StreamState{}, err
	}
	return info.State, nil
}

// Latest implements engine.Records.
func (e *Engine) Latest(ctx context.Context, topic *engine.Topic) (int64, error) {
	return topicCall(ctx, e, topic, func(ctx context.Context) (int64, error) { return e.latest(ctx, topic) })
}

func (e *Engine) latest(ctx context.Context, topic *engine.Topic) (int64, error) {
	state, err := e.streamState(ctx, topic)
	if err != nil || state.LastSeq == 0 {
		return 0, err
	}
	events, err := e.eventsOf(ctx, topic, state.LastSeq)
	return sequenceOf(state.LastSeq, max(events-1, 0)), err
}

// eventsOf is the number of events of a record, 0 where there is none.
func (e *Engine) eventsOf(ctx context.Context, topic *engine.Topic, record uint64) (int, error) {
	stored, err := e.stored(ctx, topic, record)
	if errors.Is(translate(ctx, err), engine.ErrRecordNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return count(topic, stored)
}

// count is the number of events of a stored record.
func count(topic *engine.Topic, stored *message) (int, error) {
	events, err := eventlog.Events(sequenceOf(stored.Sequence, 0), stored.Data, nil)
	if err != nil {
		return 0, &engine.DamageError{Topic: topic.Name, Place: fmt.Sprint("message ", stored.Sequence), Cause: err}
	}
	return len(events), nil
}

func (e *Engine) stored(ctx context.Context, topic *engine.Topic, record uint64) (*message, error) {
	if record == 0 { // JetStream takes it for a request that names none.
		return nil, engine.ErrRecordNotFound
	}
	return e.reads.message(ctx, streamName(topic.Name), which{Sequence: record})
}

// FirstAt implements engine.Records.
func (e *Engine) FirstAt(ctx context.Context, topic *engine.Topic, at time.Time) (int64, error) {
	return topicCall(ctx, e, topic, func(ctx context.Context) (int64, error) {
		// What is stored while this looks for it is stored at that time or later.
		state, err := e.streamState(ctx, topic)
		if err != nil {
			return 0, err
		}
		stored, err := e.reads.message(ctx, streamName(topic.Name), which{Since: &at})
		if errors.Is(translate(ctx, err), engine.ErrRecordNotFound) {
			return sequenceOf(state.LastSeq+1, 0), nil
		}
		if err != nil {
			return 0, err
		}
		return sequenceOf(stored.Sequence, 0), nil
	})
}

// Get implements engine.Records.
func (e *Engine) Get(ctx context.Context, topic *engine.Topic, sequence int64) (engine.Record, error) {
	return topicCall(ctx, e, topic, func(ctx context.Context) (engine.Record, error) {
		number, index := split(sequence)
		stored, err := e.stored(ctx, topic, number)
		if err != nil {
			return engine.Record{}, err
		}
		events, err := count(topic, stored)
		if err != nil {
			return engine.Record{}, err
		}
		if index >= events {
			return engine.Record{}, engine.ErrRecordNotFound
		}
		return record(stored.Sequence, stored.Time, stored.Data), nil
	})
}

func record(number uint64, at time.Time, data []byte) engine.Record {
	return engine.Record{First: sequenceOf(number, 0), Last: lastOf(number), Time: at, Data: data}
}

const (
	// maxCounted is the number of records up to which every one is looked at to
	// say how many events there are.
	maxCounted = 64
	// maxSampled is the number that is looked at where there are more. They lie
	// far apart: for each, JetStream may load several megabytes and keep them for
	// a while.
	maxSampled = 8
)

// Count implements engine.Records.
func (e *Engine) Count(ctx context.Context, topic *engine.Topic, from int64) (events int64, exact bool, err error) {
	exact = true
	events, err = topicCall(ctx, e, topic, func(ctx context.Context) (events int64, err error) {
		state, err := e.streamState(ctx, topic)
		if err != nil {
			return 0, err
		}
		first, index := split(max(from, 0))
		if first < state.FirstSeq {
			first, index = state.FirstSeq, 0
		}
		if index > 0 && first <= state.LastSeq {
			// Of this one, some are before. It is no sample.
			inside, err := e.eventsOf(ctx, topic, first)
			if err != nil {
				return 0, err
			}
			events = int64(max(inside-index, 0))
			first++
		}
		if first > state.LastSeq || state.Msgs == 0 {
			return events, nil
		}
		rest := int64(state.LastSeq - first + 1)
		if byEvent(topic) {
			return events + rest, nil
		}
		sampled := rest
		if rest > maxCounted {
			sampled, exact = maxSampled, false
		}
		var sum int64
		for i := range sampled {
			one, err := e.eventsOf(ctx, topic, first+uint64(i*(rest-1)/max(sampled-1, 1)))
			if err != nil {
				return 0, err
			}
			sum += int64(one)
		}
		return events + int64(float64(sum)/float64(sampled)*float64(rest)), nil
	})
	return events, exact, err
}
