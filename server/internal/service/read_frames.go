package service

import (
	"context"
	"time"

	"example.com/tidings/server/internal/eventlog"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// beat says that the call is alive, and looks whether retention has overtaken
// it: then nothing may ever come to say so.
func (r *readCall) beat(ctx context.Context) error {
	state, err := r.service.engine.State(ctx, r.topic)
	if err != nil {
		return err
	}
	if before := state.First - 1; r.fromTime.IsZero() && r.position < before && state.First == state.End {
		gap := &tidingsv1.Gap{FirstSequence: r.position + 1, NextSequence: before + 1}
		r.position = before
		return r.tellGap(gap)
	}
	return r.tell(&tidingsv1.ReadResponse{Frame: &tidingsv1.ReadResponse_Heartbeat{
		Heartbeat: &tidingsv1.Heartbeat{Cursor: eventlog.Cursor(r.topic.Config.GetUid(), r.position)},
	}})
}

func (r *readCall) tellGap(gap *tidingsv1.Gap) error {
	return r.tell(&tidingsv1.ReadResponse{Frame: &tidingsv1.ReadResponse_Gap{Gap: gap}})
}

func (r *readCall) tellCaughtUp() error {
	if r.caughtUp {
		return nil
	}
	r.caughtUp = true
	return r.tell(&tidingsv1.ReadResponse{Frame: &tidingsv1.ReadResponse_CaughtUp{
		CaughtUp: &tidingsv1.CaughtUp{Cursor: eventlog.Cursor(r.topic.Config.GetUid(), r.position)},
	}})
}

// tellDraining ends the call because the server does.
func (r *readCall) tellDraining() error {
	if err := r.tell(&tidingsv1.ReadResponse{Frame: &tidingsv1.ReadResponse_Draining{
		Draining: &tidingsv1.Draining{Cursor: eventlog.Cursor(r.topic.Config.GetUid(), r.position)},
	}}); err != nil {
		return err
	}
	return draining()
}

// tell sends a frame that holds no events, after those that wait.
func (r *readCall) tell(response *tidingsv1.ReadResponse) error {
	if err := r.flush(); err != nil {
		return err
	}
	frame, err := encodeFrame(response)
	if err != nil {
		return err
	}
	r.skipped, r.sent = 0, true
	return r.sender.Send(frame)
}

// add adds an event to the frame. The cursor is that of the position after.
func (r *readCall) add(raw []byte, sequence, after int64) {
	r.frame.appendEvent(r.topic, raw, sequence, after, r.suffix)
	r.framed++
	if r.span != nil && r.span.IsRecording() {
		linkTo(r.span, raw)
	}
}

// flush sends the events that wait.
func (r *readCall) flush() error {
	if r.frame == nil {
		return nil
	}
	frame := r.frame
	r.frame, r.skipped, r.sent = nil, 0, true
	frame.seal()
	if pause := r.meter.Delivered(r.framed, len(frame.Bytes())); pause > 0 {
		r.resume = time.After(pause)
	}
	r.service.metrics.Topic(r.topic.Name).Read.Add(float64(r.framed))
	r.call.AddEvents(r.framed)
	events := r.framed
	r.framed = 0
	err := r.sender.Send(frame)
	r.traceSent(events, err)
	return err
}
