package service

import (
	"bytes"
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/trace"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/eventlog"
	"example.com/tidings/server/internal/filter"
	"example.com/tidings/server/internal/quota"
	"example.com/tidings/server/internal/telemetry"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// FrameSender is the server's side of a Read call.
type FrameSender interface {
	// Send sends an encoded ReadResponse. The frame is the sender's from then
	// on: it calls Free when the bytes have been written.
	Send(*Frame) error
}

const (
	defaultHeartbeat = 15 * time.Second
	// maxSkipped is the number of events that the filter leaves out before the
	// reader is told how far it is.
	maxSkipped = 10_000
)

// readCall is the state of a Read call.
type readCall struct {
	service *Service
	topic   *engine.Topic
	sender  FrameSender
	matcher *filter.Matcher // Says which events to send.
	key     string          // The partition key that all of them have, where the engine finds them by it.

	// first is the sequence to begin at, unless fromTime is set: then it is the
	// lowest that there can be.
	first int64
	// fromTime is the time to begin at, until a record of that time or later
	// comes; otherwise zero.
	fromTime time.Time
	gap      *tidingsv1.Gap // To be told before anything else.

	// until is the sequence to end after, below 0 where there is none.
	until     int64
	untilTime time.Time // The publish time to end before, or zero.
	left      int64     // Events to send before the end; below 0: no bound.

	position int64 // All up to this sequence is sent or left out.
	caughtUp bool
	skipped  int  // Events left out since the last frame.
	sent     bool // A frame was sent since the silence was measured.
	frame    *Frame
	framed   int        // Events in it.
	span     trace.Span // Of it. nil: there is none.
	call     *telemetry.Call
	meter    *quota.Meter
	resume   <-chan time.Time // When more may be sent. nil: now.
	events   [][]byte         // Reused.
	suffix   []byte           // Reused.
}

// errStop ends a Read call without an error.
var errStop = errors.New("the stop position is reached")

// Read implements tidings.v1.ReaderService.
func (s *Service) Read(ctx context.Context, request *tidingsv1.ReadRequest, sender FrameSender) error {
	topic, err := s.engine.Topic(ctx, request.GetTopic())
	if err != nil {
		return storageFault(err, request.GetTopic())
	}
	r := &readCall{service: s, topic: topic, sender: sender, until: -1, left: request.GetMaxEvents(), call: telemetry.CallFrom(ctx), meter: quota.FromContext(ctx)}
	if r.left == 0 {
		r.left = -1
	}
	if r.matcher, err = s.compileFilter(topic, request.GetFilter(), "filter"); err != nil {
		return err
	}
	if s.engine.Features().KeyIndex {
		r.key = keyOf(request.GetFilter().GetAttributes())
	}
	state, err := s.engine.State(ctx, topic)
	if err != nil {
		return storageFault(err, topic.Name)
	}
	if err := r.startAt(ctx, request.GetStart(), state); err != nil {
		return err
	}
	if err := r.stopAt(request.GetStop(), state); err != nil {
		return err
	}
	heartbeat := defaultHeartbeat
	if interval := request.GetHeartbeatInterval(); interval != nil {
		heartbeat = interval.AsDuration()
	}
	defer func() {
		if r.frame != nil {
			r.frame.Free()
		}
	}()
	if err := r.run(ctx, state, heartbeat); !errors.Is(err, errStop) {
		return storageFault(err, topic.Name)
	}
	return nil
}

func (r *readCall) run(ctx context.Context, state engine.State, heartbeat time.Duration) error {
	reader, err := r.open(ctx)
	if err != nil {
		return err
	}
	in := &intake{reader: reader, matcher: r.matcher, first: r.first, fromTime: r.fromTime}
	defer newIntake(ctx, in)()
	if r.gap != nil {
		if err := r.tellGap(r.gap); err != nil {
			return err
		}
	}
	if !reader.More() {
		r.position = max(r.position, state.End-1)
		if err := r.tellCaughtUp(); err != nil {
			return err
		}
	}
	return r.follow(ctx, in, heartbeat)
}

func (r *readCall) open(ctx context.Context) (engine.Reader, error) {
	from := engine.ReadFrom{Sequence: r.first, Time: r.fromTime, Key: r.key}
	if r.key != "" && !r.fromTime.IsZero() {
		first, err := r.service.engine.FirstAt(ctx, r.topic, r.fromTime)
		if err != nil {
			return nil, err
		}
		from.Sequence, from.Time = max(r.first, first), time.Time{}
	}
	return r.service.engine.Read(ctx, r.topic, from)
}

func (r *readCall) follow(ctx context.Context, in *intake, heartbeat time.Duration) error {
	gone := r.service.engine.TopicGone(r.topic)
	silence := time.NewTimer(heartbeat)
	defer silence.Stop()
	var end <-chan time.Time
	if r.until < 0 && !r.untilTime.IsZero() {
		timer := time.NewTimer(time.Until(r.untilTime))
		defer timer.Stop()
		end = timer.C
	}
	for {
		if r.until >= 0 && r.position >= r.until {
			if err := r.flush(); err != nil {
				return err
			}
			return errStop
		}
		if r.service.Draining() { // However much there is left to send.
			return r.tellDraining()
		}
		portions := in.portions
		if r.resume != nil {
			portions = nil
		}
		select {
		case next, open := <-portions: // While there is more, frames are filled.
			if !open {
				return ctx.Err()
			}
			if err := r.take(ctx, next); err != nil {
				return err
			}
			in.done(next)
			continue
		case <-silence.C: // The filter may leave out all of it.
			if !r.sent {
				if err := r.beat(ctx); err != nil {
					return err
				}
			}
			silence.Reset(heartbeat)
			r.sent = false
			continue
		default:
		}
		if r.resume == nil {
			if err := r.flush(); err != nil {
				return err
			}
		}
		if r.sent { // What the filter leaves out is silence to the reader.
			silence.Reset(heartbeat)
			r.sent = false
		}
		if r.resume != nil { // What was just sent may have used the quota up.
			portions = nil
		}
		var err error
		select {
		case <-r.resume:
			r.resume = nil
		case next, open := <-portions:
			if !open {
				return ctx.Err()
			}
			err = r.take(ctx, next)
			in.done(next)
		case <-silence.C:
			err = r.beat(ctx)
		case <-gone:
			err = engine.ErrTopicNotFound
		case <-end:
			var state engine.State
			if state, err = r.service.engine.State(ctx, r.topic); err == nil {
				r.until = state.Last()
			}
		case <-r.service.drain:
			continue
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

// take adds the events of a portion to the frame.
func (r *readCall) take(ctx context.Context, p portion) error {
	if p.err != nil {
		return p.err
	}
	record := p.record
	if err := r.approach(ctx, record); err != nil {
		return err
	}
	if record.Data == nil {
		r.position = max(r.position, record.Last)
		return r.tellCaughtUp()
	}
	var err error
	if r.events, err = eventlog.Events(record.First, record.Data, r.events); err != nil {
		return err
	}
	early := !r.fromTime.IsZero()
	header, revision := eventlog.HeaderOf(record.Data), []byte(nil)
	r.suffix = r.suffix[:0]
	for i := p.from; i < min(p.to, len(r.events)); i++ {
		raw, sequence := r.events[i], record.First+int64(i)
		after := sequence
		if i == len(r.events)-1 {
			after = record.Last
		}
		switch {
		case sequence < r.first || early:
			continue
		case r.until >= 0 && sequence > r.until:
			r.position = max(r.position, r.until) // There is nothing up to it.
			return nil
		}
		r.position = after
		if !p.takes(i) {
			r.skipped++
			continue
		}
		if of := header.Revisions.Of(i); len(r.suffix) == 0 || !bytes.Equal(of, revision) {
			r.suffix, revision = eventlog.AppendSuffix(r.suffix[:0], r.topic.Name, record.Time, of, header.Publisher), of
		}
		if r.frame != nil && !r.frame.fits(raw, r.suffix) {
			if err := r.flush(); err != nil {
				return err
			}
		}
		if r.frame == nil {
			r.beginFrame(ctx, len(raw)+len(r.suffix)+eventlog.Overhead)
		}
		r.add(raw, sequence, after)
		r.left--
		if r.left == 0 {
			r.until = r.position
			return nil
		}
	}
	if p.last {
		r.position = max(r.position, record.Last)
	}
	if r.skipped >= maxSkipped {
		if err := r.tell(&tidingsv1.ReadResponse{Frame: &tidingsv1.ReadResponse_Checkpoint{
			Checkpoint: &tidingsv1.Checkpoint{Cursor: eventlog.Cursor(r.topic.Config.GetUid(), r.position)},
		}}); err != nil {
			return err
		}
	}
	if p.last && !record.More {
		return r.tellCaughtUp()
	}
	return nil
}

// approach ends the call before a record that is past the stop time, and tells
// of what retention removed before the record.
func (r *readCall) approach(ctx context.Context, record engine.Record) error {
	if !r.untilTime.IsZero() && !record.Time.Before(r.untilTime) && record.Data != nil {
		if err := r.flush(); err != nil {
			return err
		}
		return errStop
	}
	next := record.First
	if r.key != "" { // What lies between may be events of other keys.
		state, err := r.service.engine.State(ctx, r.topic)
		if err != nil {
			return err
		}
		next = min(next, state.First)
	}
	if next > r.position+1 && r.fromTime.IsZero() {
		gap := &tidingsv1.Gap{FirstSequence: r.position + 1, NextSequence: next}
		if err := r.tellGap(gap); err != nil {
			return err
		}
		r.position = next - 1
	}
	if record.Data == nil {
		return nil
	}
	if !record.Time.Before(r.fromTime) {
		r.fromTime = time.Time{}
	}
	return nil
}
