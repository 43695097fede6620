package rpc_test

import (
	"context"
	"errors"
	"io"
	"testing"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

var (
	stopCaughtUp = &tidingsv1.StopPosition{Position: &tidingsv1.StopPosition_CaughtUp{CaughtUp: true}}
	fromEarliest = startAt(tidingsv1.StartBoundary_START_BOUNDARY_EARLIEST)
	fromLatest   = startAt(tidingsv1.StartBoundary_START_BOUNDARY_LATEST)
	fromNew      = startAt(tidingsv1.StartBoundary_START_BOUNDARY_NEW)
)

func startAt(boundary tidingsv1.StartBoundary) *tidingsv1.StartPosition {
	return &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Boundary{Boundary: boundary}}
}

func fromSequence(sequence int64) *tidingsv1.StartPosition {
	return &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Sequence{Sequence: sequence}}
}

func fromCursor(cursor string) *tidingsv1.StartPosition {
	return &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Cursor{Cursor: cursor}}
}

func stopAtSequence(sequence int64) *tidingsv1.StopPosition {
	return &tidingsv1.StopPosition{Position: &tidingsv1.StopPosition_Sequence{Sequence: sequence}}
}

// reading is a Read call of a test.
type reading struct {
	t      *testing.T
	stream readStream
	cancel context.CancelFunc
}

func openRead(t *testing.T, c client, request *tidingsv1.ReadRequest) *reading {
	t.Helper()
	ctx, cancel := context.WithCancel(testContext(t))
	t.Cleanup(cancel)
	stream, err := c.read(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	return &reading{t, stream, cancel}
}

// refused returns the error of a call that gives nothing else.
func (r *reading) refused() error {
	r.t.Helper()
	frame, err := r.stream.Recv()
	if err == nil {
		r.t.Fatalf("got %v", frame)
	}
	return err
}

// next returns the next frame.
func (r *reading) next() *tidingsv1.ReadResponse {
	r.t.Helper()
	frame, err := r.stream.Recv()
	if err != nil {
		r.t.Fatal(err)
	}
	return frame
}

// untilFrame reads until a frame of a kind has come, and returns all that came.
func (r *reading) untilFrame(is func(*tidingsv1.ReadResponse) bool) *seen {
	r.t.Helper()
	s := new(seen)
	for {
		frame := r.next()
		s.add(frame)
		if is(frame) {
			return s
		}
	}
}

// untilEvents reads until a number of events has come.
func (r *reading) untilEvents(count int) *seen {
	r.t.Helper()
	s := new(seen)
	for len(s.events) < count {
		s.add(r.next())
	}
	if len(s.events) != count {
		r.t.Fatalf("%d events came, want %d", len(s.events), count)
	}
	return s
}

// untilEnd reads until the call ends without an error.
func (r *reading) untilEnd() *seen {
	r.t.Helper()
	s := new(seen)
	for {
		frame, err := r.stream.Recv()
		if errors.Is(err, io.EOF) {
			return s
		}
		if err != nil {
			r.t.Fatal(err)
		}
		s.add(frame)
	}
}

func isCaughtUp(frame *tidingsv1.ReadResponse) bool  { return frame.GetCaughtUp() != nil }
func isHeartbeat(frame *tidingsv1.ReadResponse) bool { return frame.GetHeartbeat() != nil }
func isDraining(frame *tidingsv1.ReadResponse) bool  { return frame.GetDraining() != nil }

// seen is what came over a Read call.
type seen struct {
	frames     []*tidingsv1.ReadResponse
	events     []*tidingsv1.RecordedEvent
	gaps       []*tidingsv1.Gap
	caughtUp   []string // Cursors, and so below.
	checkpoint []string
	heartbeats []string
	draining   []string
}

func (s *seen) add(frame *tidingsv1.ReadResponse) {
	s.frames = append(s.frames, frame)
	switch kind := frame.GetFrame().(type) {
	case *tidingsv1.ReadResponse_Events:
		s.events = append(s.events, kind.Events.GetEvents()...)
	case *tidingsv1.ReadResponse_Gap:
		s.gaps = append(s.gaps, kind.Gap)
	case *tidingsv1.ReadResponse_CaughtUp:
		s.caughtUp = append(s.caughtUp, kind.CaughtUp.GetCursor())
	case *tidingsv1.ReadResponse_Checkpoint:
		s.checkpoint = append(s.checkpoint, kind.Checkpoint.GetCursor())
	case *tidingsv1.ReadResponse_Heartbeat:
		s.heartbeats = append(s.heartbeats, kind.Heartbeat.GetCursor())
	case *tidingsv1.ReadResponse_Draining:
		s.draining = append(s.draining, kind.Draining.GetCursor())
	}
}

// sequences returns the sequences of the events that came.
func (s *seen) sequences() []int64 {
	var list []int64
	for _, e := range s.events {
		list = append(list, e.GetSequence())
	}
	return list
}
