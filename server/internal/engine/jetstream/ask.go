package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// ErrNobody says that no server answers for the subscription.
var ErrNobody = errors.New("no server answers")

// Alone says that no other server can use this JetStream.
func (e *Engine) Alone() bool { return e.embedded != nil }

func ownerSubject(s *Subscription) string {
	return "tidings.owner." + uidToken(s)
}

// Answer calls handle with each request that another server sends about a
// subscription. handle is called in one goroutine; reply may be called from any,
// once. stop ends it, having had what came until then handled: who asked would
// wait for an answer in vain.
func (e *Engine) Answer(s *Subscription, handle func(request []byte, reply func([]byte))) (stop func(), err error) {
	sub, err := e.conn.Subscribe(ownerSubject(s), func(message *nats.Msg) {
		handle(message.Data, func(response []byte) {
			if err := message.Respond(response); err != nil {
				e.log.Warn("answer to another server", "subscription", s.Name, "error", err)
			}
		})
	})
	if err == nil {
		// From here on a request of another server comes here.
		err = e.conn.FlushTimeout(callTimeout)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	handled := make(chan struct{})
	sub.SetClosedHandler(func(string) { close(handled) })
	return func() {
		if err := sub.Drain(); err != nil {
			e.log.Debug("no more answers", "subscription", s.Name, "error", err)
			return
		}
		select {
		case <-handled:
		case <-time.After(callTimeout):
		}
	}, nil
}

// Ask sends a request to the server that answers for a subscription. It
// returns ErrNobody where there is none, ErrUnavailable, or the context's
// error.
func (e *Engine) Ask(ctx context.Context, s *Subscription, request []byte) ([]byte, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	answer, err := e.conn.RequestWithContext(ctx, ownerSubject(s), request)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, ErrNobody
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return answer.Data, nil
}
