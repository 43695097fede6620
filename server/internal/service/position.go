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
func (r *readCall) startAt(ctx context.Context, start *tidingsv1.StartPosition, state engine.State) (err error) {
	if at, ok := start.GetPosition().(*tidingsv1.StartPosition_Time); ok {
		r.first, err = state.First, r.startAtTime(ctx, at.Time, state)
	} else {
		r.first, err = r.service.sequenceAt(ctx, r.topic, "start", start, state)
	}
	if err != nil {
		return err
	}
	if _, ok := start.GetPosition().(*tidingsv1.StartPosition_Sequence); ok && r.first < state.First && r.service.removed(state) {
		r.gap = &tidingsv1.Gap{FirstSequence: r.first, NextSequence: state.First}
	}
	r.first = max(r.first, state.First)
	r.position = r.first - 1
	return nil
}

// sequenceAt returns the sequence at which a position lies now, unless it is a
// time. field is the path of the position in the request.
func (s *Service) sequenceAt(ctx context.Context, topic *engine.Topic, field string, start *tidingsv1.StartPosition, state engine.State) (int64, error) {
	switch position := start.GetPosition().(type) {
	case *tidingsv1.StartPosition_Sequence:
		return position.Sequence, nil
	case *tidingsv1.StartPosition_Cursor:
		return afterCursor(topic, field+".cursor", position.Cursor, state)
	}
	switch start.GetBoundary() {
	case tidingsv1.StartBoundary_START_BOUNDARY_LATEST:
		latest, err := s.engine.Latest(ctx, topic)
		return latest, storageFault(err, topic.Name)
	case tidingsv1.StartBoundary_START_BOUNDARY_NEW:
		return state.End, nil
	default: // The earliest.
		return state.First, nil
	}
}

// afterCursor returns the first sequence after a cursor.
func afterCursor(topic *engine.Topic, field, cursor string, state engine.State) (int64, error) {
	sequence, ok := eventlog.ParseCursor(topic.Config.GetUid(), cursor)
	if !ok || !state.Holds(sequence) {
		return 0, fieldFault(tidingsv1.ErrorReason_ERROR_REASON_CURSOR_INVALID, field,
			fmt.Sprintf("not a cursor of topic %q", topic.Name), "topic", topic.Name)
	}
	if sequence+1 < state.First {
		return 0, fault(tidingsv1.ErrorReason_ERROR_REASON_CURSOR_EXPIRED,
			"retention removed events that follow the cursor",
			"topic", topic.Name,
			"earliest_cursor", eventlog.Cursor(topic.Config.GetUid(), state.First-1),
			"earliest_sequence", strconv.FormatInt(state.First, 10))
	}
	return sequence + 1, nil
}

// firstOf returns the sequence at which a position lies now, never before the
// earliest event. Where it is a time at which nothing is stored yet, notBefore
// is that time: what is stored until then isn't meant. field is the path of the
// position in the request.
func (s *Service) firstOf(ctx context.Context, topic *engine.Topic, field string, start *tidingsv1.StartPosition) (first int64, notBefore *timestamppb.Timestamp, err error) {
	state, err := s.engine.State(ctx, topic)
	if err != nil {
		return 0, nil, storageFault(err, topic.Name)
	}
	if at, ok := start.GetPosition().(*tidingsv1.StartPosition_Time); ok {
		if first, err = s.firstAtTime(ctx, topic, at.Time); err == nil && first >= state.End {
			notBefore = timestamppb.New(storable(at.Time))
		}
	} else {
		first, err = s.sequenceAt(ctx, topic, field, start, state)
	}
	if err != nil {
		return 0, nil, err
	}
	// Cursors end at sequences that a later event can have; a sequence may be
	// beyond all of them.
	return min(max(first, state.First), maxSequence), notBefore, nil
}

// firstAtTime returns the sequence of the first event that was stored at a time
// or later.
func (s *Service) firstAtTime(ctx context.Context, topic *engine.Topic, start *timestamppb.Timestamp) (int64, error) {
	first, err := s.engine.FirstAt(ctx, topic, storable(start))
	return first, storageFault(err, topic.Name)
}

// maxSequence is a sequence that no event reaches.
const maxSequence = math.MaxInt64 - eventlog.MaxEvents

// firstTime and lastTime are the first and the last that every engine can tell from
// others, in nanoseconds since 1970. No event was or will be stored beyond them.
var firstTime, lastTime = time.Unix(0, 0), time.Unix(0, math.MaxInt64)

// storable returns the nearest time at which an event can have been stored. It
// is never the zero time.
func storable(at *timestamppb.Timestamp) time.Time {
	switch t := at.AsTime(); {
	case t.Before(firstTime):
		return firstTime
	case t.After(lastTime):
		return lastTime
	default:
		return t
	}
}

func (r *readCall) startAtTime(ctx context.Context, start *timestamppb.Timestamp, state engine.State) error {
	r.fromTime = storable(start)
	if !r.service.removed(state) || !r.fromTime.Before(time.Now()) {
		return nil
	}
	// Retention has removed something: where the earliest event that is left
	// came later, something that was asked for may be gone.
	record, err := r.service.engine.Get(ctx, r.topic, state.First)
	if err != nil && !errors.Is(err, engine.ErrRecordNotFound) {
		return storageFault(err, r.topic.Name)
	}
	if err != nil || record.Time.After(r.fromTime) {
		r.gap = &tidingsv1.Gap{NextSequence: state.First}
	}
	return nil
}

// removed reports whether retention has removed events of a topic.
func (s *Service) removed(state engine.State) bool {
	return state.First > s.engine.Features().FirstSequence
}

// stopAt finds where to end, as far as it is known yet.
func (r *readCall) stopAt(stop *tidingsv1.StopPosition, state engine.State) error {
	switch position := stop.GetPosition().(type) {
	case *tidingsv1.StopPosition_CaughtUp:
		r.until = state.Last()
	case *tidingsv1.StopPosition_Sequence:
		r.until = position.Sequence
	case *tidingsv1.StopPosition_Time:
		r.untilTime = storable(position.Time)
		if !r.untilTime.After(time.Now()) {
			// What is stored from now on is later.
			r.until = state.Last()
		}
	}
	return nil
}
