package jetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"example.com/tidings/server/internal/engine"
)

func ownerSubject(s *engine.Subscription) string {
	return "tidings.owner." + uidToken(s)
}

// Serve implements engine.Owners.
func (e *Engine) Serve(s *engine.Subscription, handle func(request []byte, reply func([]byte))) (stop func(), err error) {
	sub, err := e.asks.conn.Subscribe(ownerSubject(s), func(message *nats.Msg) {
		handle(message.Data, func(response []byte) {
			if err := message.Respond(response); err != nil {
				e.log.Warn("response to another server", "subscription", s.Name, "error", err)
			}
		})
	})
	if err == nil {
		// From here on a request of another server comes here.
		if err = e.asks.conn.FlushTimeout(engine.CallTimeout); err != nil {
			err = errors.Join(err, sub.Unsubscribe()) // It would come here forever.
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", engine.ErrUnavailable, err)
	}
	handled := make(chan struct{})
	sub.SetClosedHandler(func(string) { close(handled) })
	return func() {
		if err := sub.Drain(); err != nil {
			e.log.Debug("no longer serving a subscription", "subscription", s.Name, "error", err)
			return
		}
		select {
		case <-handled:
		case <-time.After(engine.CallTimeout):
		}
	}, nil
}

// Call implements engine.Owners.
func (e *Engine) Call(ctx context.Context, s *engine.Subscription, request []byte) ([]byte, error) {
	return call(ctx, func(ctx context.Context) ([]byte, error) {
		reply, err := e.asks.conn.RequestWithContext(ctx, ownerSubject(s), request)
		if errors.Is(err, nats.ErrNoResponders) {
			return nil, engine.ErrNobody
		}
		if err != nil {
			return nil, err
		}
		return reply.Data, nil
	})
}
