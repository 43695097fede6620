package main

import (
	"cmp"
	"context"
	"errors"
	"log"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

const (
	// window is how many deliveries the worker holds at most. Few: what waits
	// here can't be handled by another worker.
	window = 16
	// heartbeat is how often the server shows that it is there, silence when it
	// is taken for gone: the network alone may take long to notice.
	heartbeat = 5 * time.Second
	silence   = 3 * heartbeat
	// The delay before the next call doubles until the server opens one.
	minBackoff = 100 * time.Millisecond
	maxBackoff = 10 * time.Second
	// leaveWithin bounds the last settlements of a worker that ends.
	leaveWithin = 10 * time.Second
)

// errSilent ends a call on which nothing comes.
var errSilent = errors.New("the server is silent")

// consumer has the events of a subscription handled, one after the other, and
// settles them. Only the goroutine of run touches its fields.
type consumer struct {
	client       tidingsv1.ConsumerServiceClient
	subscription string
	handle       func(*tidingsv1.Delivery) error
	log          *log.Logger

	// Leases outlive the call that brought them.
	held  map[string]*lease // by token, until the server says that it is settled or lost
	queue []*lease          // those that wait to be handled, in the order of their delivery
	busy  bool              // one is being handled
	done  chan outcome      // of that one; has room for it, so it can be told while nobody listens

	// The call that there is now.
	stream   grpc.BidiStreamingClient[tidingsv1.ConsumeRequest, tidingsv1.ConsumeResponse]
	deadline time.Duration           // what a lease is given
	extend   <-chan time.Time        // when leases are to be extended; nil until the call is opened
	ready    []*tidingsv1.Settlement // the next batch
	sent     []*tidingsv1.Settlement // the batch without an answer
	drain    bool                    // the server asked the worker to end its side
	ended    bool                    // the worker has
}

// lease is a delivery. No other worker has the event before its deadline.
type lease struct {
	delivery   *tidingsv1.Delivery
	settlement *tidingsv1.Settlement // nil until it is handled
}

// outcome is what came of handling a delivery.
type outcome struct {
	lease *lease
	err   error
}

// frame is what came on a stream. The last one has why the stream ended.
type frame struct {
	response *tidingsv1.ConsumeResponse
	err      error
}

func newConsumer(client tidingsv1.ConsumerServiceClient, subscription string, handle func(*tidingsv1.Delivery) error, logger *log.Logger) *consumer {
	return &consumer{
		client: client, subscription: subscription, handle: handle, log: logger,
		held: make(map[string]*lease), done: make(chan outcome, 1),
	}
}

// run consumes, call after call, until ctx ends or no further call can help.
func (c *consumer) run(ctx context.Context) error {
	backoff := minBackoff
	for {
		err := c.consume(ctx)
		if ctx.Err() != nil {
			return c.leave(ctx)
		}
		switch status.Code(err) {
		case codes.InvalidArgument, codes.NotFound, codes.FailedPrecondition, codes.PermissionDenied, codes.Unauthenticated, codes.Unimplemented:
			return errors.Join(err, c.leave(ctx))
		default: // Servers come back.
		}
		if c.extend != nil {
			backoff = minBackoff
		}
		wait := rand.N(backoff) //nolint:gosec // It only keeps workers from coming back all at once.
		c.log.Printf("the call ended: %v; the next follows in %v", err, wait.Round(time.Millisecond))
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// consume is one call. It returns the error that ended it: io.EOF where the
// worker had ended its side.
func (c *consumer) consume(ctx context.Context) error {
	c.extend, c.ready, c.sent, c.drain, c.ended = nil, nil, nil, false, false
	// The end of ctx doesn't cut the call off: what was sent gets its answer.
	call, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	stream, err := c.client.Consume(call)
	if err != nil {
		return err
	}
	c.stream = stream
	held := slices.Collect(maps.Keys(c.held))
	c.send(&tidingsv1.ConsumeRequest{Request: &tidingsv1.ConsumeRequest_Open{Open: &tidingsv1.ConsumeOpen{
		Subscription:       c.subscription,
		Window:             &tidingsv1.FlowControl{MaxEvents: window},
		HeartbeatInterval:  durationpb.New(heartbeat),
		HeldDeliveryTokens: held,
	}}})

	frames := make(chan frame)
	go func() {
		for err := error(nil); err == nil; {
			var response *tidingsv1.ConsumeResponse
			response, err = stream.Recv()
			frames <- frame{response, err}
		}
	}()
	quiet := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer quiet.Stop()
	stopped := ctx.Done()
	for { // Up to the last frame, for which the receiver waits.
		c.proceed()
		select {
		case f := <-frames:
			if f.err != nil {
				return cmp.Or(context.Cause(call), f.err)
			}
			quiet.Reset(silence)
			c.take(f.response, held)
		case o := <-c.done:
			c.finish(o)
		case <-c.extend:
			c.restate()
		case <-stopped:
			stopped = nil
			c.end()
		}
	}
}

// take deals with what the server sent. held are the tokens that the call was
// opened with.
func (c *consumer) take(response *tidingsv1.ConsumeResponse, held []string) {
	switch f := response.GetFrame().(type) {
	case *tidingsv1.ConsumeResponse_Opened:
		for i, result := range f.Opened.GetHeld() {
			if result.GetStatus() != tidingsv1.SettlementStatus_SETTLEMENT_STATUS_APPLIED {
				c.drop(held[i], result)
			}
		}
		c.deadline = f.Opened.GetAckDeadline().AsDuration()
		c.extend = time.Tick(c.deadline / 3)
		c.restate()
	case *tidingsv1.ConsumeResponse_Deliveries:
		for _, delivery := range f.Deliveries.GetDeliveries() {
			l := &lease{delivery: delivery}
			c.held[delivery.GetDeliveryToken()] = l
			c.queue = append(c.queue, l)
		}
	case *tidingsv1.ConsumeResponse_Settled:
		batch := c.sent
		c.sent = nil
		c.settled(batch, f.Settled.GetResults())
	case *tidingsv1.ConsumeResponse_Draining:
		c.drain = true
	default: // A heartbeat, or a kind that a later server has.
	}
}
