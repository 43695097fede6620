package service

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/eventlog"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// expect turns a precondition into what the engine checks when it stores the
// first entry.
func (s *Service) expect(ctx context.Context, p *publication) error {
	if p.precondition == nil {
		return nil
	}
	key := p.precondition.GetPartitionKey()
	if key != "" {
		if !p.byEvent() {
			return fault(tidingsv1.ErrorReason_ERROR_REASON_KEY_PRECONDITION_UNSUPPORTED,
				fmt.Sprintf("topic %q keeps no sequence of a key: its dedupe is not DEDUPE_EVENT", p.topic.Name), "topic", p.topic.Name)
		}
		for _, a := range p.accepted {
			if a.key != key {
				return fieldFault(tidingsv1.ErrorReason_ERROR_REASON_REQUEST_INVALID, "precondition.partition_key",
					fmt.Sprintf("events[%d] has another key, %q", a.index, a.key))
			}
		}
	}
	expected := p.precondition.GetExpectedLastSequence()
	record, _ := eventlog.Split(expected)
	if expected != 0 {
		// The engine knows records only. Which event is the last of a record
		// never changes, so that much can be checked before.
		last, err := s.lastOfRecord(ctx, p.topic, record)
		if err != nil {
			return err
		}
		if last == 0 && key == "" { // Retention may have removed the last one of the topic.
			state, err := s.engine.State(ctx, p.topic)
			if err != nil {
				return storageFault(err, p.topic.Name)
			}
			if record == state.Last {
				last = eventlog.SequenceOf(record, 0)
			}
		}
		if last != expected {
			record = math.MaxInt64 // Never the last: only a repetition passes.
		}
	}
	p.entries[0].ExpectedLast, p.entries[0].ExpectKey = &record, key != ""
	return nil
}

// lastOfRecord returns the sequence of the last event of a record, or 0 if the
// record doesn't exist.
func (s *Service) lastOfRecord(ctx context.Context, topic *engine.Topic, sequence uint64) (int64, error) {
	record, err := s.engine.Get(ctx, topic, sequence)
	if errors.Is(err, engine.ErrRecordNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, storageFault(err, topic.Name)
	}
	events, err := eventlog.Events(record.Sequence, record.Data, nil)
	if err != nil {
		return 0, err
	}
	return eventlog.SequenceOf(sequence, len(events)-1), nil
}

// mismatch is the error for a precondition that doesn't hold.
func (s *Service) mismatch(ctx context.Context, p *publication) error {
	var actual int64
	key := p.precondition.GetPartitionKey()
	if key != "" {
		record, err := s.engine.LastOfKey(ctx, p.topic, key)
		if err != nil && !errors.Is(err, engine.ErrRecordNotFound) {
			return storageFault(err, p.topic.Name)
		}
		actual = eventlog.SequenceOf(record.Sequence, 0)
	} else {
		state, err := s.engine.State(ctx, p.topic)
		if err != nil {
			return storageFault(err, p.topic.Name)
		}
		if actual, err = s.latest(ctx, p.topic, state); err != nil {
			return err
		}
	}
	expected := p.precondition.GetExpectedLastSequence()
	metadata := []string{"expected", strconv.FormatInt(expected, 10), "actual", strconv.FormatInt(actual, 10)}
	message := fmt.Sprintf("the last sequence is %d, not %d", actual, expected)
	switch {
	case key != "" && actual == 0:
		message = fmt.Sprintf("the topic holds no event with this key: it has had none, or retention has removed them, %d too", expected)
	case actual == 0:
		message = fmt.Sprintf("the topic has had no event yet, expected was %d", expected)
	}
	if key != "" {
		metadata = append(metadata, "partition_key", key)
	}
	return fault(tidingsv1.ErrorReason_ERROR_REASON_SEQUENCE_MISMATCH, message, metadata...)
}

// latest returns the sequence of the last event of a topic. Where retention has
// removed it, how many events its record had isn't known any more, and the
// lowest sequence that it can have had is returned.
func (s *Service) latest(ctx context.Context, topic *engine.Topic, state engine.State) (int64, error) {
	if state.Last == 0 {
		return 0, nil
	}
	last, err := s.lastOfRecord(ctx, topic, state.Last)
	if last == 0 {
		last = eventlog.SequenceOf(state.Last, 0)
	}
	return last, err
}
