package rpc_test

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// A drain ends a server permanently, so that every transport looks at the same.

var drained = because(codes.Unavailable, "SERVER_DRAINING")

func TestDrainRead(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	first := transports()[0].dial(t, s)
	publish(t, first, "orders", orders(t, "a", 2)...)
	streams, last := make(map[transport]*reading), ""
	for _, transport := range transports() {
		stream := openRead(t, transport.dial(t, s), &tidingsv1.ReadRequest{Topic: "orders"})
		last = stream.untilFrame(isCaughtUp).events[1].GetCursor()
		streams[transport] = stream
	}
	s.service.Drain()
	for transport, stream := range streams {
		t.Run(transport.String(), func(t *testing.T) {
			stream.t = t
			if got := stream.untilFrame(isDraining); got.draining[0] != last || len(got.frames) != 1 {
				t.Errorf("frames %v, the last event has %q", got.frames, last)
			}
			wantRefusal(t, stream.refused(), drained)
		})
	}
}

// However much there is left to send.
func TestDrainReadOfMuch(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	first := transports()[0].dial(t, s)
	count := 0
	for i := range 12 { // More than what the buffers of a connection hold.
		var events []*tidingsv1.Event
		for j := range 60 {
			events = append(events, bulky(t, fmt.Sprint(i, "-", j), 28<<10))
		}
		count += len(publish(t, first, "orders", events...))
	}
	streams := make(map[transport]*reading)
	begun := make(map[transport]*seen)
	for _, transport := range transports() {
		stream := openRead(t, transport.dial(t, s), &tidingsv1.ReadRequest{Topic: "orders", Stop: &tidingsv1.StopPosition{
			Position: &tidingsv1.StopPosition_Time{Time: timestamppb.New(time.Now().Add(time.Hour))},
		}})
		got := new(seen)
		got.add(stream.next())
		streams[transport], begun[transport] = stream, got
	}
	s.service.Drain()
	for transport, stream := range streams {
		t.Run(transport.String(), func(t *testing.T) {
			stream.t = t
			got := begun[transport]
			for _, frame := range stream.untilFrame(isDraining).frames {
				got.add(frame)
			}
			if len(got.events) == count {
				t.Errorf("all %d events came first", count)
			}
			if last := got.events[len(got.events)-1]; last.GetCursor() != got.draining[0] {
				t.Errorf("draining at %q, the last event has %q", got.draining[0], last.GetCursor())
			}
			wantRefusal(t, stream.refused(), drained)
		})
	}
}

func TestDrainPublishStream(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	streams := make(map[transport]publishStream)
	for _, transport := range transports() {
		if transport.unmet([]need{fullDuplex}) != "" {
			continue
		}
		stream := openPublishStream(t, testContext(t), transport.dial(t, s))
		for i := range 3 {
			id := fmt.Sprint(transport, i)
			if err := stream.Send(&tidingsv1.PublishStreamRequest{Publish: &tidingsv1.PublishRequest{Topic: "orders", Events: orders(t, id, 1)}}); err != nil {
				t.Fatal(err)
			}
			if response, err := stream.Recv(); err != nil || response.GetPublished() == nil {
				t.Fatal(response, err)
			}
		}
		streams[transport] = stream
	}
	s.service.Drain()
	for transport, stream := range streams {
		t.Run(transport.String(), func(t *testing.T) {
			_, err := stream.Recv()
			wantRefusal(t, err, drained)
			// Calls without a stream go on.
			publish(t, transport.dial(t, s), "orders", orders(t, fmt.Sprint("after", transport), 1)...)
		})
	}
}

func TestDrainImport(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.service.Drain()
	for _, transport := range transports() {
		t.Run(transport.String(), func(t *testing.T) {
			stream, err := transport.dial(t, s).importStream(testContext(t))
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.Send(&tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Topic: "orders", Events: orders(t, transport.String(), 3)}}); err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			_, err = stream.CloseAndRecv() // Where Send failed, it says why.
			wantRefusal(t, err, drained.and("stored", anything))
		})
	}
}
