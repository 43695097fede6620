package service

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/tidings/server/internal/delivery"
	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/guard"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	replicav1 "example.com/tidings/server/internal/gen/tidings/replica/v1"
)

const (
	defaultWindowEvents = 1000
	defaultWindowBytes  = 8 << 20
	// pollTime bounds one question for events: it is longer than none.
	pollTime = 5 * time.Second
	// reattaches is how often a stream that has delivered nothing follows the
	// subscription to another owner: servers that open it at the same time each
	// take it for theirs.
	reattaches = 5
	// maxFrameEvents bounds the deliveries of a frame, and deliveryTarget is the
	// size that a frame of more than one stays below. Each frame costs an entry
	// of the journal, so they are larger than those of Read.
	maxFrameEvents = 1000
	deliveryTarget = 256 << 10
	// ownerTime bounds how long an owner is waited for where a stream is opened or
	// something settled: another server may find one when this one doesn't.
	ownerTime = 5 * time.Second
	// detachTime bounds telling the owner that a stream has ended.
	detachTime = 3 * time.Second
)

// consumer is a stream of deliveries.
type consumer struct {
	service      *Service
	subscription *engine.Subscription
	tokens       *delivery.Tokens
	session      string
	window       *tidingsv1.FlowControl
	held         []*replicav1.LeaseRef // What it had leased before.
	owner        string                // It has the session.
	heartbeat    time.Duration
	kind         frameKind
	batches      int64 // Of settlements, answered.
	sent         int64 // Up to which question for events the answers were sent.
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
		session:      rand.Text(),
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

// open opens the session and tells the client what it got.
func (c *consumer) open(ctx context.Context, held []string) error {
	opened := &tidingsv1.ConsumeOpened{Window: c.window, HeartbeatInterval: durationpb.New(c.heartbeat)}
	if c.kind == receiveFrame {
		opened.StreamId = c.session
	}
	var asked []*tidingsv1.SettlementResult
	for _, token := range held {
		result := &tidingsv1.SettlementResult{Status: tidingsv1.SettlementStatus_SETTLEMENT_STATUS_MALFORMED}
		opened.Held = append(opened.Held, result)
		if ref := c.tokens.Parse(token); ref != nil {
			c.held = append(c.held, ref)
			asked = append(asked, result)
		}
	}
	response, err := c.attach(ctx)
	if err != nil {
		return c.fault(ctx, err)
	}
	for i, result := range response.GetResults() {
		asked[i].Status = result.GetStatus()
	}
	opened.AckDeadline = response.GetAckDeadline()
	return c.tell(&tidingsv1.ConsumeResponse{Frame: &tidingsv1.ConsumeResponse_Opened{Opened: opened}})
}

// attach opens the session at the owner.
func (c *consumer) attach(ctx context.Context) (*replicav1.OwnerResponse, error) {
	bounded, cancel := context.WithTimeout(ctx, ownerTime)
	defer cancel()
	response, err := c.service.hub.Call(bounded, c.subscription, &replicav1.OwnerRequest{Request: &replicav1.OwnerRequest_Attach{
		Attach: &replicav1.Attach{Session: c.session, Window: c.window, Held: c.held},
	}})
	if bounded.Err() != nil && ctx.Err() == nil {
		err = delivery.ErrUnavailable
	}
	c.owner = response.GetOwner()
	return response, err
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

// deliver sends an encoded DeliveryBatch.
func (c *consumer) deliver(batch []byte) error {
	const field = 1 // deliveries, in ConsumeResponse and ReceiveResponse
	buffer := make([]byte, 0, len(batch)+frameHeader)
	buffer = protowire.AppendTag(buffer, field, protowire.BytesType)
	return c.send(&Frame{buffer: protowire.AppendBytes(buffer, batch), kind: c.kind})
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

// delivering is the goroutine that gets events from the owner and sends them.
type delivering struct {
	consumer *consumer
	cancel   context.CancelFunc
	done     chan struct{}
	err      error // Once done is closed: why it ended.
}

func (c *consumer) startDelivering(ctx context.Context) *delivering {
	inner, cancel := context.WithCancel(ctx)
	d := &delivering{consumer: c, cancel: cancel, done: make(chan struct{})}
	guard.Go(func() error {
		err := guard.Do(func() error { return c.deliverAll(inner) })
		c.service.detach(inner, c.subscription, c.session, c.sent)
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
func (d *delivering) finish() {
	d.cancel()
	<-d.done
}

// stop is finish, and returns why it ended: nil where it was stopped.
func (d *delivering) stop() error {
	d.finish()
	return d.err
}

// deliverAll delivers until it fails.
func (c *consumer) deliverAll(ctx context.Context) error {
	left := reattaches
	for number := int64(1); ; number++ {
		response, err := c.service.hub.Call(ctx, c.subscription, &replicav1.OwnerRequest{Owner: c.owner, Request: &replicav1.OwnerRequest_Lease{
			Lease: &replicav1.Lease{
				Session:   c.session,
				Number:    number,
				MaxEvents: maxFrameEvents,
				MaxBytes:  int32(min(deliveryTarget, c.service.engine.MaxRecordBytes())),
				Wait:      durationpb.New(pollTime),
			},
		}})
		if left > 0 && (errors.Is(err, delivery.ErrUnavailable) || errors.Is(err, delivery.ErrSession)) {
			left--
			if _, err = c.attach(ctx); err == nil {
				continue
			}
		}
		if err != nil {
			return c.fault(ctx, err)
		}
		if window := response.GetWindow(); window != nil && c.kind == receiveFrame {
			// Consume has answered the client already.
			if err := c.tell(&tidingsv1.ConsumeResponse{Frame: &tidingsv1.ConsumeResponse_Window{Window: window}}); err != nil {
				return err
			}
		}
		if len(response.GetDeliveries()) > 0 {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := c.deliver(response.GetDeliveries()); err != nil {
				return err
			}
			left = 0
		}
		c.sent = number
	}
}

// detach ends a session. Where the owner can't be told, it finds out.
func (s *Service) detach(ctx context.Context, subscription *engine.Subscription, session string, sent int64) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), detachTime)
	defer cancel()
	_, err := s.hub.Call(ctx, subscription, &replicav1.OwnerRequest{Request: &replicav1.OwnerRequest_Detach{
		Detach: &replicav1.Detach{Session: session, Sent: sent},
	}})
	if err != nil {
		s.log.DebugContext(ctx, "the owner was not told that a stream ended", "subscription", subscription.Name, "error", err)
	}
}

// resize changes the window of a session.
func (s *Service) resize(ctx context.Context, subscription *engine.Subscription, session string, window *tidingsv1.FlowControl) error {
	_, err := s.hub.Call(ctx, subscription, &replicav1.OwnerRequest{Request: &replicav1.OwnerRequest_Resize{
		Resize: &replicav1.Resize{Session: session, Window: window},
	}})
	return err
}
