package service

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/eventlog"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// startAt finds the first sequence to send.
func (r *reading) startAt(ctx context.Context, start *tidingsv1.StartPosition, state engine.State) error {
	earliest := eventlog.SequenceOf(state.First, 0)
	r.first = earliest
	switch position := start.GetPosition().(type) {
	case *tidingsv1.StartPosition_Boundary:
		switch position.Boundary {
		default: // The earliest.
		case tidingsv1.StartBoundary_START_BOUNDARY_LATEST:
			latest, err := r.service.latest(ctx, r.topic, state)
			if err != nil {
				return err
			}
			r.first = latest
		case tidingsv1.StartBoundary_START_BOUNDARY_NEW:
			r.first = eventlog.SequenceOf(state.Last+1, 0)
		}
	case *tidingsv1.StartPosition_Sequence:
		r.first = position.Sequence
		if state.First > 1 && r.first < earliest {
			r.gap = &tidingsv1.Gap{FirstSequence: r.first, NextSequence: earliest}
		}
	case *tidingsv1.StartPosition_Cursor:
		if err := r.startAfter(position.Cursor, state); err != nil {
			return err
		}
	case *tidingsv1.StartPosition_Time:
		if err := r.startAtTime(ctx, position.Time, state); err != nil {
			return err
		}
	}
	r.first = max(r.first, earliest)
	r.position = r.first - 1
	return nil
}

func (r *reading) startAfter(cursor string, state engine.State) error {
	first, err := afterCursor(r.topic, "start.cursor", cursor, state)
	r.first = first
	return err
}

// afterCursor returns the first sequence after a cursor.
func afterCursor(topic *engine.Topic, field, cursor string, state engine.State) (int64, error) {
	sequence, ok := eventlog.ParseCursor(topic.Config.GetUid(), cursor)
	record, index := eventlog.Split(sequence)
	if !ok || record > state.Last {
		return 0, fieldFault(tidingsv1.ErrorReason_ERROR_REASON_CURSOR_INVALID, field,
			fmt.Sprintf("not a cursor of topic %q", topic.Name), "topic", topic.Name)
	}
	// A record is removed as a whole; what has been read of it isn't missed.
	needed := record
	if index == eventlog.LastIndex {
		needed++
	}
	if needed < state.First {
		earliest := eventlog.SequenceOf(state.First, 0)
		return 0, fault(tidingsv1.ErrorReason_ERROR_REASON_CURSOR_EXPIRED,
			"retention removed events that follow the cursor",
			"topic", topic.Name,
			"earliest_cursor", eventlog.Cursor(topic.Config.GetUid(), earliest-1),
			"earliest_sequence", strconv.FormatInt(earliest, 10))
	}
	return sequence + 1, nil
}

// firstOf returns the sequence at which a position lies now, never before the
// earliest event. field is the path of the position in the request.
func (s *Service) firstOf(ctx context.Context, topic *engine.Topic, field string, start *tidingsv1.StartPosition) (int64, error) {
	state, err := s.engine.State(ctx, topic)
	if err != nil {
		return 0, storageFault(err, topic.Name)
	}
	first := int64(0)
	switch position := start.GetPosition().(type) {
	case *tidingsv1.StartPosition_Boundary:
		switch position.Boundary {
		default: // The earliest.
		case tidingsv1.StartBoundary_START_BOUNDARY_LATEST:
			first, err = s.latest(ctx, topic, state)
		case tidingsv1.StartBoundary_START_BOUNDARY_NEW:
			first = eventlog.SequenceOf(state.Last+1, 0)
		}
	case *tidingsv1.StartPosition_Sequence:
		first = position.Sequence
	case *tidingsv1.StartPosition_Cursor:
		first, err = afterCursor(topic, field+".cursor", position.Cursor, state)
	case *tidingsv1.StartPosition_Time:
		if position.Time.CheckValid() != nil {
			return 0, fieldFault(tidingsv1.ErrorReason_ERROR_REASON_REQUEST_INVALID, field+".time", "must be a time from year 1 to 9999")
		}
		var record uint64
		if record, err = s.engine.FirstAt(ctx, topic, position.Time.AsTime()); err != nil {
			err = storageFault(err, topic.Name)
		}
		first = eventlog.SequenceOf(record, 0)
	}
	if err != nil {
		return 0, err
	}
	// Cursors end at sequences that a later event can have; a sequence may be
	// beyond all of them.
	return min(max(first, eventlog.SequenceOf(state.First, 0)), maxSequence), nil
}

// maxSequence is a sequence that no event reaches.
const maxSequence = math.MaxInt64 - eventlog.MaxEvents

// lastTime is the last that JetStream can tell from earlier ones.
var lastTime = time.Unix(0, math.MaxInt64)

func (r *reading) startAtTime(ctx context.Context, start *timestamppb.Timestamp, state engine.State) error {
	if start.CheckValid() != nil {
		return fieldFault(tidingsv1.ErrorReason_ERROR_REASON_REQUEST_INVALID, "start.time", "must be a time from year 1 to 9999")
	}
	r.fromTime = start.AsTime()
	if r.fromTime.After(lastTime) {
		r.fromTime = lastTime
	}
	if state.First <= 1 || !r.fromTime.Before(time.Now()) {
		return nil
	}
	// Retention has removed something: where the earliest event that is left
	// came later, something that was asked for may be gone.
	record, err := r.service.engine.Get(ctx, r.topic, state.First)
	if err != nil && !errors.Is(err, engine.ErrRecordNotFound) {
		return storageFault(err, r.topic.Name)
	}
	if err != nil || record.Time.After(r.fromTime) {
		r.gap = &tidingsv1.Gap{NextSequence: eventlog.SequenceOf(state.First, 0)}
	}
	return nil
}

// stopAt finds where to end, as far as it is known yet.
func (r *reading) stopAt(stop *tidingsv1.StopPosition, state engine.State) error {
	switch position := stop.GetPosition().(type) {
	case *tidingsv1.StopPosition_CaughtUp:
		r.until = eventlog.After(state.Last)
	case *tidingsv1.StopPosition_Sequence:
		r.until = position.Sequence
	case *tidingsv1.StopPosition_Time:
		if position.Time.CheckValid() != nil {
			return fieldFault(tidingsv1.ErrorReason_ERROR_REASON_REQUEST_INVALID, "stop.time", "must be a time from year 1 to 9999")
		}
		r.untilTime = position.Time.AsTime()
		if !r.untilTime.After(time.Now()) {
			// What is stored from now on is later.
			r.until = eventlog.After(state.Last)
		}
	}
	return nil
}
