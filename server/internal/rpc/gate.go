// Package rpc serves the contract: it adapts the one implementation in package
// service to grpc-go and to connect-go. It alone knows transports and their
// status codes. Every call passes one gate, whatever its transport.
package rpc

import (
	"context"
	"log/slog"

	"google.golang.org/protobuf/proto"

	"example.com/tidings/server/internal/guard"
	"example.com/tidings/server/internal/service"
	"example.com/tidings/server/internal/tracing"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// gate is what every call passes when it comes in, and every error when it goes out.
type gate struct {
	log *slog.Logger
	// auditLog is told of calls that change something. nil: nobody is.
	auditLog *slog.Logger
	// tracer makes the spans of calls. nil: none are made.
	tracer *tracing.Tracer
	// release gives back what a Pull leased and can't be sent.
	release func(context.Context, *tidingsv1.PullRequest, *tidingsv1.PullResponse)
}

// admit checks a message that was received: that it could be decoded, that its caller
// may send it, and that it keeps the rules of the contract.
func (g *gate) admit(ctx context.Context, message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return nil
	}
	if err := rejected(m); err != nil {
		return err
	}
	if err := permit(ctx, m); err != nil {
		return err
	}
	if err := mayDeliver(ctx, m); err != nil {
		return err
	}
	if _, ok := message.(*tidingsv1.ValidateEventsRequest); ok {
		return nil // The service tells rules about the request from rules about its events.
	}
	return service.CheckRequest(m)
}

// encode encodes the response to a request where the error can still be told,
// and gives back what can't be sent.
func (g *gate) encode(ctx context.Context, request, response any, encode func(any) (*encoded, error)) (*encoded, error) {
	result, err := encode(response)
	if err == nil {
		return result, nil
	}
	if pulled, ok := response.(*tidingsv1.PullResponse); ok {
		if pull, ok := request.(*tidingsv1.PullRequest); ok {
			g.release(ctx, pull, pulled)
		}
	}
	return nil, err
}

// asError makes every error one of the catalogue. It is outside of what recovers the
// calls, so it recovers itself.
func (g *gate) asError(ctx context.Context, err error) (known *service.Error) {
	panicked := guard.Do(func() error {
		known = service.AsError(ctx, g.log, err)
		return nil
	})
	if panicked != nil {
		known = service.AsError(ctx, g.log, panicked)
	}
	failed(ctx, known)
	return known
}
