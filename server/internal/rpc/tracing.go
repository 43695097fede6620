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

// traces reports whether calls of a procedure have spans. Those of health and reflection
// have none.
func (g *gate) traces(procedure string) bool { return g.tracer != nil && ours(procedure) }

// callGRPC begins the span of a call with one request over native gRPC.
func (g *gate) callGRPC(ctx context.Context, procedure string) (context.Context, trace.Span) {
	if !g.traces(procedure) {
		return ctx, trace.SpanFromContext(ctx) // Which records nothing.
	}
	ctx, span := g.tracer.Call(ctx, tracing.GRPC, procedure, headerGRPC(ctx))
	return logTrace(ctx), span
}

// enterGRPC returns the context of a stream over native gRPC for the spans of its parts.
func (g *gate) enterGRPC(ctx context.Context, procedure string) context.Context {
	if !g.traces(procedure) {
		return ctx
	}
	return logTrace(g.tracer.Enter(ctx, tracing.GRPC, procedure, headerGRPC(ctx)))
}

// headerGRPC returns what returns the headers of a call's trace context, or nil where it
// has none.
func headerGRPC(ctx context.Context) func(name string) string {
	if len(metadata.ValueFromIncomingContext(ctx, tracing.AttributeParent)) == 0 {
		return nil
	}
	return func(name string) string {
		values := metadata.ValueFromIncomingContext(ctx, name)
		if len(values) == 0 {
			return ""
		}
		return values[0]
	}
}

// callConnect is callGRPC for connect-go, which speaks gRPC too.
func (g *gate) callConnect(ctx context.Context, procedure string, peer connect.Peer, header http.Header) (context.Context, trace.Span) {
	if !g.traces(procedure) {
		return ctx, trace.SpanFromContext(ctx) // Which records nothing.
	}
	ctx, span := g.tracer.Call(ctx, systemOf(peer), procedure, header.Get)
	return logTrace(ctx), span
}

// enterConnect is enterGRPC for connect-go.
func (g *gate) enterConnect(ctx context.Context, procedure string, peer connect.Peer, header http.Header) context.Context {
	if !g.traces(procedure) {
		return ctx
	}
	return logTrace(g.tracer.Enter(ctx, systemOf(peer), procedure, header.Get))
}

func systemOf(peer connect.Peer) tracing.System {
	if peer.Protocol == connect.ProtocolConnect {
		return tracing.Connect
	}
	return tracing.GRPC
}

// logTrace has the access log say to which trace a call belongs, if to any.
func logTrace(ctx context.Context) context.Context {
	if of := trace.SpanContextFromContext(ctx); of.HasTraceID() {
		telemetry.CallFrom(ctx).SetTraceID(of.TraceID())
	}
	return ctx
}
