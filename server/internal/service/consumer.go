package service

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/tidings/server/internal/delivery"
	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/guard"
	"example.com/tidings/server/internal/lease"
	"example.com/tidings/server/internal/quota"
	"example.com/tidings/server/internal/telemetry"
	"example.com/tidings/server/internal/tracing"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

const (
	defaultWindowEvents = 1000
	defaultWindowBytes  = 8 << 20
	// batchWait is how long the owner is asked to wait for a batch.
	batchWait = 5 * time.Second
	// maxFrameEvents bounds the deliveries of a frame, and deliveryTarget is the
	// size that a frame of more than one stays below. Each frame costs an entry
	// of the journal, so they are larger than those of Read.
	maxFrameEvents = 1000
	deliveryTarget = 256 << 10
)

// consumer is a stream of deliveries.
type consumer struct {
	service      *Service
	subscription *engine.Subscription
	tokens       *delivery.Tokens
	window       *tidingsv1.FlowControl
	stream       *delivery.Stream // nil until open.
	heartbeat    time.Duration
	kind         frameKind
	batches      int64 // Of settlements, answered.
	draining     bool  // Nothing more is delivered.

	mu     sync.Mutex // Held while sending.
	sender FrameSender
	sentAt time.Time
}

// granted is the window that is granted when one is asked for.
func (s *Service) granted(asked *tidingsv1.FlowControl) *tidingsv1.FlowControl {
	window := &tidingsv1.FlowControl{
		MaxEvents: min(asked.GetMaxEvents(), maxWindowEvents),
		MaxBytes:  min(asked.GetMaxBytes(), maxWindowBytes),
	}
	if window.GetMaxEvents() == 0 {
		window.MaxEvents = defaultWindowEvents
	}
	if window.GetMaxBytes() == 0 {
		window.MaxBytes = defaultWindowBytes
	}
	window.MaxBytes = max(window.GetMaxBytes(), int64(s.limits.MaxEventBytes))
	return window
}

func (s *Service) newConsumer(
	ctx context.Context, name string, window *tidingsv1.FlowControl, interval *durationpb.Duration, sender FrameSender, kind frameKind,
) (*consumer, error) {
	subscription, err := s.subscription(ctx, name, "")
	if err != nil {
		return nil, err
	}
	c := &consumer{
		service:      s,
		subscription: subscription,
		tokens:       delivery.NewTokens(subscription.Config),
		window:       s.granted(window),
		heartbeat:    defaultHeartbeat,
		kind:         kind,
		sender:       sender,
		sentAt:       time.Now(),
	}
	if interval != nil {
		c.heartbeat = interval.AsDuration()
	}
	return c, nil
}

// open opens the stream and tells the client what it got.
func (c *consumer) open(ctx context.Context, tokens []string) error {
	opened := &tidingsv1.ConsumeOpened{Window: c.window, HeartbeatInterval: durationpb.New(c.heartbeat)}
	var held []lease.Ref
	var results []*tidingsv1.SettlementResult // Of held.
	for _, token := range tokens {
		result := &tidingsv1.SettlementResult{Status: tidingsv1.SettlementStatus_SETTLEMENT_STATUS_MALFORMED}
		opened.Held = append(opened.Held, result)
		if ref, ok := c.tokens.Parse(token); ok {
			held, results = append(held, ref), append(results, result)
		}
	}
	var err error
	c.stream, err = c.service.hub.Open(ctx, c.subscription, delivery.StreamConfig{Window: c.window, Held: held, Principal: principalOf(ctx)})
	if err != nil {
		return c.fault(ctx, err)
	}
	for i, status := range c.stream.Held {
		results[i].Status = status
	}
	opened.AckDeadline = durationpb.New(c.stream.AckDeadline)
	if c.kind == receiveFrame {
		opened.StreamId = c.stream.ID
	}
	return c.tell(&tidingsv1.ConsumeResponse{Frame: &tidingsv1.ConsumeResponse_Opened{Opened: opened}})
}

// fault turns an error of the hub into one of the catalogue.
func (c *consumer) fault(ctx context.Context, err error) error {
	return c.service.consumeFault(ctx, err, c.subscription)
}

func (s *Service) consumeFault(ctx context.Context, err error, subscription *engine.Subscription) error {
	if errors.Is(err, delivery.ErrUnavailable) || errors.Is(err, delivery.ErrSession) {
		// The owner may have ended, or begun anew, because the subscription did.
		present, gone := s.engine.Subscription(ctx, subscription.Name)
		if errors.Is(gone, engine.ErrSubscriptionNotFound) || gone == nil && present.Config.GetUid() != subscription.Config.GetUid() {
			err = engine.ErrSubscriptionNotFound
		}
	}
	switch {
	case errors.Is(err, engine.ErrTopicNotFound):
		return detachedFault(subscription)
	case errors.Is(err, delivery.ErrFilter):
		return s.unusableFilter(subscription)
	default:
		return subscriptionFault(err, subscription.Name)
	}
}

// tell sends a frame without deliveries. Frames of Receive differ from those of
// Consume in their name only.
func (c *consumer) tell(response *tidingsv1.ConsumeResponse) error {
	encoded, err := proto.Marshal(response)
	if err != nil {
		return err
	}
	return c.send(&Frame{buffer: encoded, kind: c.kind})
}

func (c *consumer) send(frame *Frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sentAt = time.Now()
	return c.sender.Send(frame)
}

// deliver sends deliveries, whose memory is used again.
func (c *consumer) deliver(ctx context.Context, batch *delivery.Batch) error {
	span := c.service.tracer.Part(ctx, tracing.Receive, time.Now(), trace.SpanContext{})
	if span.IsRecording() {
		describeDeliveries(span, c.subscription, batch.Deliveries())
	}
	// The deliveries are field 1 of ConsumeResponse and ReceiveResponse.
	err := c.send(&Frame{buffer: batch.Field(), kind: c.kind, batch: batch})
	tracing.End(span, faultOf(span, err))
	return err
}

// silence is how long nothing was sent.
func (c *consumer) silence() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Since(c.sentAt)
}

// startHeartbeats sends heartbeats while nothing else is sent, until stop is
// called.
func (c *consumer) startHeartbeats(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var beating guard.Group
	beating.Go(func() error {
		timer := time.NewTimer(c.heartbeat)
		defer timer.Stop()
		for {
			select {
			case <-timer.C:
			case <-ctx.Done():
				return nil
			}
			left := c.heartbeat - c.silence()
			if left <= 0 {
				if err := c.tell(&tidingsv1.ConsumeResponse{Frame: &tidingsv1.ConsumeResponse_Heartbeat{
					Heartbeat: new(tidingsv1.ConsumeHeartbeat),
				}}); err != nil {
					return nil // The client is gone, as the others find out.
				}
				left = c.heartbeat
			}
			timer.Reset(left)
		}
	}, guard.Log(c.service.log, "heartbeats"))
	return func() { cancel(); beating.Wait() }
}

// deliveryRun is the goroutine that gets events from the owner and sends them.
type deliveryRun struct {
	consumer *consumer
	cancel   context.CancelFunc
	done     chan struct{}
	err      error // Once done is closed: why it ended.
}

func (c *consumer) startDelivery(ctx context.Context) *deliveryRun {
	inner, cancel := context.WithCancel(ctx)
	d := &deliveryRun{consumer: c, cancel: cancel, done: make(chan struct{})}
	guard.Go(func() error {
		err := guard.Do(func() error { return c.deliverAll(inner) })
		c.stream.Close(inner)
		return err
	}, func(err error) {
		if inner.Err() == nil || !errors.Is(err, context.Canceled) {
			d.err = err
		}
		cancel()
		close(d.done)
	})
	return d
}

// finish ends the goroutine and waits for it.
func (d *deliveryRun) finish() {
	d.cancel()
	<-d.done
}

// stop is finish, and returns why it ended: nil where it was stopped.
func (d *deliveryRun) stop() error {
	d.finish()
	return d.err
}

// deliverAll delivers until it fails.
func (c *consumer) deliverAll(ctx context.Context) error {
	call := telemetry.CallFrom(ctx)
	limits := delivery.BatchLimits{MaxEvents: maxFrameEvents, MaxBytes: deliveryTarget, Wait: batchWait}
	meter := quota.FromContext(ctx)
	for {
		batch, err := c.stream.Next(ctx, withinQuota(meter, limits))
		if err != nil {
			return c.fault(ctx, err)
		}
		if batch.Window != nil && c.kind == receiveFrame {
			// Consume has answered the client already.
			if err := c.tell(&tidingsv1.ConsumeResponse{Frame: &tidingsv1.ConsumeResponse_Window{Window: batch.Window}}); err != nil {
				return err
			}
		}
		count, size := deliveriesIn(batch.Deliveries()), len(batch.Deliveries())
		if count > 0 {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := c.deliver(ctx, &batch); err != nil {
				return err
			}
			call.AddEvents(count)
		}
		c.stream.Sent()
		if err := c.charge(ctx, meter, count, size); err != nil {
			return err
		}
	}
}

// deliveriesIn counts the deliveries of an encoded DeliveryBatch.
func deliveriesIn(batch []byte) (count int) {
	for len(batch) > 0 {
		_, _, n := protowire.ConsumeField(batch)
		if n < 0 {
			return count
		}
		batch = batch[n:]
		count++
	}
	return count
}
