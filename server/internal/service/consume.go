package service

import (
	"context"
	"errors"
	"io"
	"time"

	"go.opentelemetry.io/otel/trace"

	"example.com/tidings/server/internal/guard"
	"example.com/tidings/server/internal/tracing"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// ConsumeStream is the server's side of a Consume call. Receive and Send may be
// called at the same time.
type ConsumeStream interface {
	FrameSender

	// Receive returns the next request, io.EOF after the last one, or the
	// error that ends the call.
	Receive() (*tidingsv1.ConsumeRequest, error)
}

// drainGrace is how long a consumer has to settle what it holds when the server
// ends.
const drainGrace = 3 * time.Second

// Consume implements tidings.v1.ConsumerService. It returns while a call of
// stream.Receive may still be waiting; the end of the call ends that.
func (s *Service) Consume(ctx context.Context, stream ConsumeStream) error {
	first, err := stream.Receive()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	open := first.GetOpen()
	if open == nil {
		return fieldFault(tidingsv1.ErrorReason_ERROR_REASON_REQUEST_INVALID, "open", "must be the first request of the stream")
	}
	if err := checkCount("open.held_delivery_tokens", len(open.GetHeldDeliveryTokens()), maxSettlements, ""); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c, err := s.newConsumer(ctx, open.GetSubscription(), open.GetWindow(), open.GetHeartbeatInterval(), stream, consumeFrame)
	if err != nil {
		return err
	}
	defer c.startHeartbeats(ctx)()
	if err := c.open(ctx, open.GetHeldDeliveryTokens()); err != nil {
		return err
	}
	d := c.startDelivery(ctx)
	defer d.finish()
	return c.converse(ctx, d, receiveAll(ctx, stream))
}

// received is what a stream gave.
type received struct {
	request *tidingsv1.ConsumeRequest
	err     error
}

// receiveAll receives until the stream ends. The last element has the error.
func receiveAll(ctx context.Context, stream ConsumeStream) <-chan received {
	requests := make(chan received)
	guard.Go(func() error {
		for {
			request, err := stream.Receive()
			if err != nil {
				return err
			}
			select {
			case requests <- received{request: request}:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}, func(err error) {
		select {
		case requests <- received{err: err}:
		case <-ctx.Done():
		}
	})
	return requests
}

// converse answers what the client sends until it ends its side, the delivery
// fails or the server drains.
func (c *consumer) converse(ctx context.Context, d *deliveryRun, requests <-chan received) error {
	drain, done := c.service.drain, d.done
	var end <-chan time.Time
	for {
		select {
		case r := <-requests:
			if errors.Is(r.err, io.EOF) {
				return d.stop()
			}
			if r.err != nil {
				return r.err
			}
			if err := c.handle(ctx, r.request); err != nil {
				return err
			}
		case <-done:
			return d.stop()
		case <-drain:
			drain, done = nil, nil // The delivery is over; the settling isn't.
			c.draining = true
			d.finish()
			if err := c.tellDraining(); err != nil {
				return err
			}
			end = time.After(drainGrace)
		case <-end:
			return draining()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (c *consumer) handle(ctx context.Context, request *tidingsv1.ConsumeRequest) error {
	switch request := request.GetRequest().(type) {
	case *tidingsv1.ConsumeRequest_Settle:
		if err := checkCount("settle.settlements", len(request.Settle.GetSettlements()), maxSettlements, ""); err != nil {
			return err
		}
		results, err := c.settle(ctx, request.Settle.GetSettlements())
		if err != nil {
			return err
		}
		batch := c.batches
		c.batches++
		return c.tell(&tidingsv1.ConsumeResponse{Frame: &tidingsv1.ConsumeResponse_Settled{
			Settled: &tidingsv1.SettlementResults{Batch: batch, Results: results},
		}})
	case *tidingsv1.ConsumeRequest_Window:
		window := c.service.granted(request.Window)
		if c.draining { // There is no session any more, and settlements may follow.
			return c.tell(&tidingsv1.ConsumeResponse{Frame: &tidingsv1.ConsumeResponse_Window{Window: window}})
		}
		if err := c.service.hub.Resize(ctx, c.subscription, c.stream.ID, principalOf(ctx), window); err != nil {
			return c.fault(ctx, err)
		}
		return c.tell(&tidingsv1.ConsumeResponse{Frame: &tidingsv1.ConsumeResponse_Window{Window: window}})
	default:
		return fieldFault(tidingsv1.ErrorReason_ERROR_REASON_REQUEST_INVALID, "open", "must be the first request of the stream only")
	}
}

// settle settles deliveries, in a span.
func (c *consumer) settle(ctx context.Context, settlements []*tidingsv1.Settlement) ([]*tidingsv1.SettlementResult, error) {
	span := c.service.tracer.Part(ctx, tracing.Settle, time.Now(), trace.SpanContext{})
	if span.IsRecording() {
		tracing.Describe(span, tracing.Settle, c.subscription.Config.GetTopic(), c.subscription.Name, len(settlements))
	}
	results, err := c.service.settle(ctx, c.subscription, c.tokens, settlements)
	tracing.End(span, faultOf(span, err))
	return results, err
}

func (c *consumer) tellDraining() error {
	return c.tell(&tidingsv1.ConsumeResponse{Frame: &tidingsv1.ConsumeResponse_Draining{
		Draining: new(tidingsv1.ConsumeDraining),
	}})
}

// Receive implements tidings.v1.ConsumerService.
func (s *Service) Receive(ctx context.Context, request *tidingsv1.ReceiveRequest, sender FrameSender) error {
	if err := checkCount("held_delivery_tokens", len(request.GetHeldDeliveryTokens()), maxSettlements, ""); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c, err := s.newConsumer(ctx, request.GetSubscription(), request.GetWindow(), request.GetHeartbeatInterval(), sender, receiveFrame)
	if err != nil {
		return err
	}
	defer c.startHeartbeats(ctx)()
	if err := c.open(ctx, request.GetHeldDeliveryTokens()); err != nil {
		return err
	}
	d := c.startDelivery(ctx)
	defer d.finish()
	select {
	case <-d.done:
		return d.stop()
	case <-s.drain:
		d.finish()
		if err := c.tellDraining(); err != nil {
			return err
		}
		return draining()
	case <-ctx.Done():
		return ctx.Err()
	}
}
