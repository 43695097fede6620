package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

const (
	liveTopic = "live"
	// callsOfConnection is how many streams share a connection: fewer than the
	// server allows.
	callsOfConnection = 200
	liveBatch         = 10
)

// receiver gets what is published, in an order of its own.
type receiver interface {
	// open begins, and returns once everything published from now on will come.
	open(ctx context.Context, conn *grpc.ClientConn, i int) error
	// receive returns once a number of events have come, and nothing else.
	receive(events int) error
}

// manyReaders measures readers that follow a topic.
func (s *scaling) manyReaders(ctx context.Context, server *scaleServer) error {
	return s.manyStreams(ctx, server, "readers", func() receiver { return new(liveReader) })
}

// manyConsumers measures consumers, each of a subscription of its own.
func (s *scaling) manyConsumers(ctx context.Context, server *scaleServer) error {
	return s.manyStreams(ctx, server, "consumers of a subscription each", func() receiver { return new(liveConsumer) })
}

// manyStreams opens streams of one topic, publishes, and waits until everything
// has come on each of them.
func (s *scaling) manyStreams(ctx context.Context, server *scaleServer, kind string, newReceiver func() receiver) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	count, events := s.cfg.scale.streams, s.cfg.scale.live
	what := thousands(float64(count)) + " " + kind + " of one topic: "
	if err := server.newTopic(ctx, liveTopic); err != nil {
		return err
	}
	before, err := server.settled(ctx)
	if err != nil {
		return err
	}
	var conns []*grpc.ClientConn
	for range (count + callsOfConnection - 1) / callsOfConnection {
		conn, err := server.raw()
		if err != nil {
			return err
		}
		conns = append(conns, conn)
	}
	receivers := make([]receiver, count)
	// Streams outlive what opens them.
	opened, err := inParallel(ctx, manyCallers, count, func(_ context.Context, i int) error {
		receivers[i] = newReceiver()
		return receivers[i].open(ctx, conns[i/callsOfConnection], i)
	})
	if err != nil {
		return err
	}
	idle, err := server.settled(ctx)
	if err != nil {
		return err
	}
	s.foundf(what+"open", "", "%.2f s", opened.Seconds())
	s.foundf(what+"memory of each", "", "%.0f kB", float64(idle.memory-before.memory)/1e3/float64(count))
	begun := time.Now()
	failed := make([]error, count)
	var group sync.WaitGroup
	for i, r := range receivers {
		group.Go(func() {
			if failed[i] = r.receive(events); failed[i] != nil {
				cancel() // What is missing would be waited for.
			}
		})
	}
	published := server.publishLive(ctx, events)
	publishing := time.Since(begun)
	if published != nil {
		cancel()
	}
	group.Wait()
	elapsed := time.Since(begun)
	if err := errors.Join(errors.Join(failed...), published); err != nil {
		return err
	}
	s.foundf(fmt.Sprintf("%s%s events come to each", what, thousands(float64(events))), "all", "all, after %.2f s (publishing them took %.2f s): %s a second",
		elapsed.Seconds(), publishing.Seconds(), thousands(float64(count*events)/elapsed.Seconds()))
	return nil
}

// publishLive publishes in small requests, one after the other.
func (s *scaleServer) publishLive(ctx context.Context, events int) error {
	publisher := tidingsv1.NewPublisherServiceClient(s.typed)
	for from := 0; from < events; from += liveBatch {
		request := &tidingsv1.PublishRequest{Topic: liveTopic}
		for i := from; i < min(from+liveBatch, events); i++ {
			event, err := newEvent(i, 34)
			if err != nil {
				return err
			}
			request.Events = append(request.Events, event)
		}
		if _, err := publisher.Publish(ctx, request); err != nil {
			return err
		}
	}
	return nil
}

// newTopic creates a topic.
func (s *scaleServer) newTopic(ctx context.Context, name string) error {
	_, err := tidingsv1.NewTopicServiceClient(s.typed).CreateTopic(ctx, &tidingsv1.CreateTopicRequest{Topic: &tidingsv1.Topic{Name: name}})
	return err
}

// openRead opens a Read call of encoded frames.
func openRead(ctx context.Context, conn *grpc.ClientConn, request *tidingsv1.ReadRequest) (grpc.ClientStream, error) {
	encoded, err := proto.Marshal(request)
	if err != nil {
		return nil, err
	}
	stream, err := conn.NewStream(ctx, bidirectional, tidingsv1.ReaderService_Read_FullMethodName)
	if err != nil {
		return nil, err
	}
	if err := stream.SendMsg(rawSend{encoded}); err != nil {
		return nil, err
	}
	return stream, stream.CloseSend()
}

type liveReader struct{ stream grpc.ClientStream }

func (r *liveReader) open(ctx context.Context, conn *grpc.ClientConn, _ int) (err error) {
	r.stream, err = openRead(ctx, conn, &tidingsv1.ReadRequest{Topic: liveTopic, Start: boundary(tidingsv1.StartBoundary_START_BOUNDARY_NEW)})
	if err != nil {
		return err
	}
	var frame rawReceive
	defer frame.free()
	return r.stream.RecvMsg(&frame) // It has caught up.
}

func (r *liveReader) receive(events int) error {
	var frame rawReceive
	defer frame.free()
	for came := 0; came != events; {
		if err := r.stream.RecvMsg(&frame); err != nil {
			return err
		}
		n, err := countNested(frame.bytes(), 1, 1)
		if err != nil {
			return err
		}
		if came += n; came > events {
			return fmt.Errorf("%d events came, not %d", came, events)
		}
	}
	return nil
}

func boundary(b tidingsv1.StartBoundary) *tidingsv1.StartPosition {
	return &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Boundary{Boundary: b}}
}

type liveConsumer struct {
	stream grpc.ClientStream
	consumption
}

func (c *liveConsumer) open(ctx context.Context, conn *grpc.ClientConn, i int) error {
	c.name = fmt.Sprintf("live-%d", i)
	creation, err := proto.Marshal(&tidingsv1.CreateSubscriptionRequest{
		Subscription: &tidingsv1.Subscription{Name: c.name, Topic: liveTopic},
	})
	if err != nil {
		return err
	}
	var answer rawReceive
	defer answer.free()
	if err := conn.Invoke(ctx, tidingsv1.SubscriptionService_CreateSubscription_FullMethodName, rawSend{creation}, &answer); err != nil {
		return err
	}
	opening, err := proto.Marshal(openConsume(c.name))
	if err != nil {
		return err
	}
	if c.stream, err = conn.NewStream(ctx, bidirectional, tidingsv1.ConsumerService_Consume_FullMethodName); err != nil {
		return err
	}
	if err := c.stream.SendMsg(rawSend{opening}); err != nil {
		return err
	}
	return c.stream.RecvMsg(&answer) // It is open.
}

// receive acknowledges what comes.
func (c *liveConsumer) receive(events int) error {
	var frame rawReceive
	defer frame.free()
	for c.settled != events {
		if err := c.stream.RecvMsg(&frame); err != nil {
			return err
		}
		batch, err := c.frame(frame.bytes())
		if err != nil && !errors.Is(err, errNothingComes) { // Others may come first.
			return err
		}
		if c.delivered > events || c.settled > events {
			return fmt.Errorf("%d events were delivered, %d settled, not %d", c.delivered, c.settled, events)
		}
		if batch != nil {
			if err := c.stream.SendMsg(rawSend{batch}); err != nil {
				return err
			}
		}
	}
	return nil
}
