package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

const (
	// longTopic is the one with many events, and eventsOfKey how many have the
	// same partition key.
	longTopic   = "long"
	eventsOfKey = 10
	// openings is how often a read is opened and timed.
	openings = 20
)

// manyEvents measures a topic with many events.
func (s *scaling) manyEvents(ctx context.Context, server *scaleServer) error {
	count := s.cfg.scale.events
	what := thousands(float64(count)) + " events in one topic: "
	before, err := server.settled(ctx)
	if err != nil {
		return err
	}
	elapsed, err := server.fill(ctx, count)
	if err != nil {
		return err
	}
	full, err := server.process.usage()
	if err != nil {
		return err
	}
	after, err := server.settled(ctx)
	if err != nil {
		return err
	}
	s.foundf(what+"publish", "", "%.0f s", elapsed.Seconds())
	s.foundf(what+"memory before, at the end, idle after", "flat", "%.0f, %.0f, %.0f MB",
		megabytes(before.memory), megabytes(full.memory), megabytes(after.memory))
	if err := s.openings(ctx, server, what); err != nil {
		return err
	}
	ready, err := server.restart(ctx)
	if err != nil {
		return err
	}
	idle, err := server.settled(ctx)
	if err != nil {
		return err
	}
	s.foundf(what+"restart, memory after", "10 s, flat", "%.2f s, %.0f MB", ready.Seconds(), megabytes(idle.memory))
	return nil
}

// openings measures how soon the first event comes.
func (s *scaling) openings(ctx context.Context, server *scaleServer, what string) error {
	middle := int64(s.cfg.scale.events/2 + 1)
	reader := tidingsv1.NewReaderServiceClient(server.typed)
	there, err := reader.GetEvent(ctx, &tidingsv1.GetEventRequest{Topic: longTopic, Sequence: middle})
	if err != nil {
		return err
	}
	earliest := boundary(tidingsv1.StartBoundary_START_BOUNDARY_EARLIEST)
	for _, opening := range []struct {
		name  string
		start *tidingsv1.StartPosition
		key   bool
	}{
		{"first frame from the start", earliest, false},
		{"first frame from the middle", &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Sequence{Sequence: middle}}, false},
		{"first frame from the end", boundary(tidingsv1.StartBoundary_START_BOUNDARY_LATEST), false},
		{"first frame from a time", &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Time{Time: there.GetRecorded().GetPublishTime()}}, false},
		{fmt.Sprintf("all %d events of a key", eventsOfKey), earliest, true},
	} {
		times := make([]time.Duration, openings)
		for i := range times {
			request := &tidingsv1.ReadRequest{Topic: longTopic, Start: opening.start}
			if opening.key { // Another each time.
				request.Filter = &tidingsv1.EventFilter{Attributes: &tidingsv1.AttributeFilter{Condition: &tidingsv1.AttributeFilter_Exact{
					Exact: &tidingsv1.AttributeValues{Values: map[string]string{"partitionkey": longKey(i*97, s.cfg.scale.events)}},
				}}}
				request.Stop = &tidingsv1.StopPosition{Position: &tidingsv1.StopPosition_CaughtUp{CaughtUp: true}}
			}
			var count int
			if times[i], count, err = timeRead(ctx, reader, request, opening.key); err != nil {
				return fmt.Errorf("%s: %w", opening.name, err)
			}
			if count == 0 || opening.key && count != eventsOfKey {
				return fmt.Errorf("%s: %d events came", opening.name, count)
			}
		}
		slices.Sort(times)
		s.foundf(what+opening.name+", p50 and worst", "a few ms", "%.1f, %.1f ms",
			microseconds(percentile(times, 0.5))/1e3, microseconds(times[len(times)-1])/1e3)
	}
	return nil
}

// timeRead reads until the first events have come, or all.
func timeRead(ctx context.Context, reader tidingsv1.ReaderServiceClient, request *tidingsv1.ReadRequest, all bool) (time.Duration, int, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	begun := time.Now()
	stream, err := reader.Read(ctx, request)
	if err != nil {
		return 0, 0, err
	}
	count := 0
	for count == 0 || all {
		response, err := stream.Recv()
		if err != nil {
			return time.Since(begun), count, endOfStream(err)
		}
		count += len(response.GetEvents().GetEvents())
	}
	return time.Since(begun), count, nil
}

// longKey is the partition key of an event in the long topic. Events of one key
// are far apart.
func longKey(number, events int) string { return fmt.Sprintf("order-%d", number%(events/eventsOfKey)) }

// fill publishes many events to the long topic.
func (s *scaleServer) fill(ctx context.Context, events int) (time.Duration, error) {
	if err := s.newTopic(ctx, longTopic); err != nil {
		return 0, err
	}
	raw, err := s.raw()
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := raw.NewStream(ctx, bidirectional, tidingsv1.PublisherService_PublishStream_FullMethodName)
	if err != nil {
		return 0, err
	}
	begun, stored := time.Now(), 0
	err = exchange(cancel, func() error {
		for i := 0; i < events; i += s.cfg.batch {
			request, err := longBatch(i, min(s.cfg.batch, events-i), events)
			if err != nil {
				return err
			}
			if err := stream.SendMsg(embedded(request)); err != nil {
				return err
			}
		}
		return stream.CloseSend()
	}, func() error {
		var response rawReceive
		defer response.free()
		for shown := 0; ; {
			if err := stream.RecvMsg(&response); err != nil {
				return endOfStream(err)
			}
			receipts, err := countNested(response.bytes(), 2, 2)
			if err != nil {
				return err
			}
			if stored += receipts; stored-shown >= 1_000_000 {
				shown = stored
				fmt.Fprintf(s.progress, "  %d events, %.0f a second\n", stored, float64(stored)/time.Since(begun).Seconds())
			}
		}
	})
	if err == nil && stored != events {
		err = fmt.Errorf("tidings stored %d events of %d", stored, events)
	}
	return time.Since(begun), err
}

// longBatch is an encoded PublishRequest.
func longBatch(from, count, events int) ([]byte, error) {
	request := topicField(longTopic)
	for i := from; i < from+count; i++ {
		event, err := newOrder(i, longKey(i, events), 34)
		if err != nil {
			return nil, err
		}
		encoded, err := proto.Marshal(event)
		if err != nil {
			return nil, err
		}
		request = protowire.AppendBytes(protowire.AppendTag(request, 2, protowire.BytesType), encoded)
	}
	return request, nil
}
