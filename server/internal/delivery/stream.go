package delivery

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/lease"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

const (
	// ownerTimeout bounds how long an owner is waited for where a stream is opened
	// or deliveries are settled: another server may find one when this one doesn't.
	ownerTimeout = 5 * time.Second
	// closeTimeout bounds telling the owner that a stream has ended.
	closeTimeout = 3 * time.Second
	// maxReopens is how often a stream that has delivered nothing follows the
	// subscription to another owner: servers that open it at the same time each
	// take it for theirs.
	maxReopens = 5
)

// StreamConfig says what Hub.Open opens.
type StreamConfig struct {
	// Window bounds the events that the stream holds, and their bytes. Both are at
	// least 1. It isn't changed.
	Window *tidingsv1.FlowControl
	// Held are deliveries of earlier streams, which count in the window where they
	// are still leased.
	Held []lease.Ref
	// Once: the stream gives one batch, and isn't counted as a consumer.
	Once bool
	// Principal is whose stream it is: nobody else can resize it. Empty: nobody is
	// asked who they are.
	Principal string
}

// Stream leases events to one consumer. Next, Sent and Close are for one
// goroutine.
type Stream struct {
	// ID names the stream for Hub.Resize.
	ID string
	// AckDeadline is how long the events are leased.
	AckDeadline time.Duration
	// Held says of each of StreamConfig.Held whether it counts in the window:
	// APPLIED, it does; ALREADY_APPLIED, it was settled; or LEASE_LOST.
	Held []tidingsv1.SettlementStatus

	hub          *Hub
	subscription *engine.Subscription
	config       StreamConfig
	owner        string // It has the session.
	number       int64  // Of the last request for a batch.
	sent         int64  // Of the last one whose batch was sent.
	reopens      int    // How often it may still be opened anew.
}

// Open opens a stream of a subscription's events. It returns
//
//   - engine.ErrTopicNotFound where the topic was deleted,
//   - engine.ErrSubscriptionNotFound where the subscription was,
//   - ErrFilter where the filter of the subscription can't be used,
//   - ErrUnavailable or engine.ErrUnavailable where there is no owner to be had
//     now, or engine.ErrFull,
//   - the error of the context.
//
// A stream that isn't closed ends a minute after its last Next.
func (h *Hub) Open(ctx context.Context, s *engine.Subscription, config StreamConfig) (*Stream, error) {
	stream := &Stream{ID: rand.Text(), hub: h, subscription: s, config: config}
	if !config.Once {
		stream.reopens = maxReopens
	}
	response, err := stream.attach(ctx)
	if err != nil {
		return nil, err
	}
	stream.AckDeadline = response.ackDeadline
	for _, result := range response.results {
		stream.Held = append(stream.Held, result.GetStatus())
	}
	return stream, nil
}

// attach opens the session at the owner.
func (s *Stream) attach(ctx context.Context) (*response, error) {
	bounded := ctx
	if !s.config.Once {
		var cancel context.CancelFunc
		bounded, cancel = context.WithTimeout(ctx, ownerTimeout)
		defer cancel()
	}
	response, err := s.hub.call(bounded, s.subscription, &attachRequest{
		session: s.ID, window: s.config.Window, held: s.config.Held, once: s.config.Once, principal: s.config.Principal,
	})
	if bounded.Err() != nil && ctx.Err() == nil {
		err = ErrUnavailable
	}
	if err != nil {
		return nil, err
	}
	s.owner = response.owner
	return response, nil
}

// BatchLimits bound what Stream.Next returns.
type BatchLimits struct {
	// MaxEvents is how many events there are at most.
	MaxEvents int32
	// MaxBytes is about the size of the deliveries: one event alone may be larger.
	// Where it is more than an engine can store in one record, that counts.
	MaxBytes int
	// Wait is how long to wait for the first event. 0: not at all.
	Wait time.Duration
}

// Next leases events to the stream. That it is called says that the batch
// before was sent to the consumer. It returns
//
//   - engine.ErrTopicNotFound where the topic was deleted,
//   - engine.ErrSubscriptionNotFound where the subscription was,
//   - ErrSession or ErrUnavailable where the owner has ended the stream or
//     changed: the consumer opens another one. As long as nothing was delivered a
//     stream that isn't Once does that by itself, a few times,
//   - engine.ErrFull or engine.ErrUnavailable where the owner couldn't write,
//   - the error of the context.
func (s *Stream) Next(ctx context.Context, limits BatchLimits) (Batch, error) {
	for {
		s.number++
		response, err := s.hub.call(ctx, s.subscription, &leaseRequest{
			owner:     s.owner,
			session:   s.ID,
			number:    s.number,
			maxEvents: limits.MaxEvents,
			maxBytes:  int32(min(limits.MaxBytes, s.hub.engine.MaxRecordBytes())),
			wait:      limits.Wait,
		})
		if s.reopens > 0 && (errors.Is(err, ErrUnavailable) || errors.Is(err, ErrSession)) {
			s.reopens--
			if _, err = s.attach(ctx); err == nil {
				continue
			}
		}
		if err != nil {
			return Batch{}, err
		}
		if len(response.deliveries) > 0 {
			s.reopens = 0
		}
		return Batch{Window: response.window, buffer: response.deliveries}, nil
	}
}

// Sent tells that the last batch was sent to the consumer, so that Close doesn't
// release it.
func (s *Stream) Sent() { s.sent = s.number }

// Close ends the stream, whether or not the context has ended. What the consumer
// holds stays leased until its deadline; a batch that wasn't sent is released.
// Where the owner can't be told, it finds out.
func (s *Stream) Close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	_, err := s.hub.call(ctx, s.subscription, &detachRequest{session: s.ID, sent: s.sent})
	if err != nil {
		s.hub.log.DebugContext(ctx, "the owner was not told that a stream ended", "subscription", s.subscription.Name, "error", err)
	}
}

// Resize changes the window of a stream, at whichever server it is open: see
// StreamConfig.Window. It returns ErrSession where the stream has ended or is
// another principal's, and otherwise what Stream.Next does. The stream's next batch
// has the window.
func (h *Hub) Resize(ctx context.Context, s *engine.Subscription, stream, principal string, window *tidingsv1.FlowControl) error {
	_, err := h.call(ctx, s, &resizeRequest{session: stream, principal: principal, window: window})
	return err
}
