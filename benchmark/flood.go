package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// floodPeer is the argument that makes this program flood a server.
const floodPeer = "flood"

// The kinds of floods.
const (
	floodCalls  = "calls"
	floodStream = "stream"
)

const (
	// floodTick is how often calls are begun.
	floodTick = 5 * time.Millisecond
	// maxFlooding bounds the calls that have no answer yet.
	maxFlooding = 1000
)

// runFlood publishes events of one caller, so many a second, until standard input ends.
// It says what became of them.
func runFlood(ctx context.Context, args []string) error {
	const arguments = 4 // Address, file of the key, kind, events a second.
	if len(args) != arguments {
		return errUsage
	}
	rate, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	conn, err := dialWithKey(args[0], args[1])
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // The process ends.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	event, err := newEvent(0, 0)
	if err != nil {
		return err
	}
	f := &flooding{client: tidingsv1.NewPublisherServiceClient(conn), event: event}
	begun := time.Now()
	if args[2] == floodStream {
		err = f.stream(ctx, rate)
	} else {
		f.calls(ctx, rate)
	}
	seconds := time.Since(begun).Seconds()
	fmt.Printf("(the other: %.0f events/s tried, %.0f refused, %.0f stored)\n",
		float64(f.tried.Load())/seconds, float64(f.refused.Load())/seconds, float64(f.stored.Load())/seconds)
	return err
}

type flooding struct {
	client                 tidingsv1.PublisherServiceClient
	event                  *tidingsv1.Event
	tried, refused, stored atomic.Int64
}

// due calls do, so often a second, until the context ends.
func due(ctx context.Context, rate int, do func(number int)) {
	ticker := time.NewTicker(floodTick)
	defer ticker.Stop()
	begun, number := time.Now(), 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for target := int(time.Since(begun).Seconds() * float64(rate)); number < target && ctx.Err() == nil; number++ {
			do(number)
		}
	}
}

func (f *flooding) request(number int) *tidingsv1.PublishRequest {
	return &tidingsv1.PublishRequest{
		Topic: floodCaller, RequestId: fmt.Sprint(os.Getpid(), "-", number), Events: []*tidingsv1.Event{f.event},
	}
}

// calls publishes by calls, without waiting for the answer to one before the next.
func (f *flooding) calls(ctx context.Context, rate int) {
	room := make(chan struct{}, maxFlooding)
	var under sync.WaitGroup
	due(ctx, rate, func(number int) {
		room <- struct{}{}
		under.Go(func() {
			defer func() { <-room }()
			f.tried.Add(1)
			_, err := f.client.Publish(ctx, f.request(number))
			if err == nil {
				f.stored.Add(1)
			}
			if status.Code(err) == codes.ResourceExhausted {
				f.refused.Add(1)
			}
		})
	})
	under.Wait()
}

// stream publishes on a stream, as far as the server takes it.
func (f *flooding) stream(ctx context.Context, rate int) error {
	stream, err := f.client.PublishStream(ctx)
	if err != nil {
		return err
	}
	var answered sync.WaitGroup
	answered.Go(func() { f.count(stream) })
	due(ctx, rate, func(number int) {
		if stream.Send(&tidingsv1.PublishStreamRequest{Publish: f.request(number)}) == nil {
			f.tried.Add(1)
		}
	})
	answered.Wait()
	return nil
}

// count takes the answers on a stream until it ends.
func (f *flooding) count(stream grpc.BidiStreamingClient[tidingsv1.PublishStreamRequest, tidingsv1.PublishStreamResponse]) {
	for {
		response, err := stream.Recv()
		switch {
		case err != nil:
			return
		case response.GetError() != nil:
			f.refused.Add(1)
		default:
			f.stored.Add(1)
		}
	}
}
