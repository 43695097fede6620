package rpc

import (
	"context"
	"net/http"

	"connectrpc.com/connect"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/metadata"

	"example.com/tidings/server/internal/telemetry"
	"example.com/tidings/server/internal/tracing"
)

// enterGRPC returns the context of a call over native gRPC for its spans. Those of
// health and reflection have none.
func (g *gate) enterGRPC(ctx context.Context, procedure string) context.Context {
	if g.tracer == nil || !ours(procedure) {
		return ctx
	}
	return g.tracer.Enter(ctx, tracing.GRPC, procedure, func(name string) string {
		values := metadata.ValueFromIncomingContext(ctx, name)
		if len(values) == 0 {
			return ""
		}
		return values[0]
	})
}

// enterConnect is enterGRPC for connect-go, which speaks gRPC too.
func (g *gate) enterConnect(ctx context.Context, procedure string, peer connect.Peer, header http.Header) context.Context {
	if g.tracer == nil || !ours(procedure) {
		return ctx
	}
	system := tracing.Connect
	if peer.Protocol != connect.ProtocolConnect {
		system = tracing.GRPC
	}
	return g.tracer.Enter(ctx, system, procedure, header.Get)
}

// beginCall begins the span of a call with one request, which was entered.
func (g *gate) beginCall(ctx context.Context) (context.Context, trace.Span) {
	ctx, span := g.tracer.Call(ctx)
	return logTrace(ctx), span
}

// logTrace has the access log say to which trace a call belongs, if to any.
func logTrace(ctx context.Context) context.Context {
	if of := trace.SpanContextFromContext(ctx); of.HasTraceID() {
		telemetry.CallFrom(ctx).SetTraceID(of.TraceID().String())
	}
	return ctx
}
