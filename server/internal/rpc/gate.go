// Package rpc serves the contract: it adapts the one implementation in package
// service to grpc-go and to connect-go. It alone knows transports and their
// status codes. Every call passes one gate, whatever its transport.
package rpc

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/proto"

	"example.com/tidings/server/internal/service"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// gate is what every call passes on its way in and every error on its way out.
type gate struct {
	log      *slog.Logger
	rejected rejections
}

// admit checks a message that was received: that it could be decoded, and that
// it keeps the rules of the contract.
func (g *gate) admit(message any) error {
	if err := g.rejected.take(message); err != nil {
		return err
	}
	switch message := message.(type) {
	case *tidingsv1.PublishRequest, *tidingsv1.ValidateEventsRequest:
		return nil // The service tells rules about the request from rules about its events.
	case proto.Message:
		return service.CheckRequest(message)
	default:
		return nil
	}
}

// settle makes every error one of the catalogue.
func (g *gate) settle(ctx context.Context, err error) *service.Error {
	return service.AsError(ctx, g.log, err)
}

// rejections carry the reasons why messages couldn't be decoded past the
// transports, whose codecs may only fail without a reason from the catalogue:
// the codec leaves the message empty and its reason here, and admit takes it.
type rejections struct {
	mu      sync.Mutex
	count   atomic.Int64 // Lets messages pass without the lock.
	reasons map[any]error
}

func (r *rejections) put(message any, reason error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reasons == nil {
		r.reasons = make(map[any]error)
	}
	r.reasons[message] = reason
	r.count.Store(int64(len(r.reasons)))
}

func (r *rejections) take(message any) error {
	if r.count.Load() == 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	reason := r.reasons[message]
	delete(r.reasons, message)
	r.count.Store(int64(len(r.reasons)))
	return reason
}
