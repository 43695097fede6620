// Package tracing makes the spans of the server with OpenTelemetry: one for each call
// with one request, and in streams one for each batch that is published, delivered or
// settled. Their names and attributes are those of the semantic conventions for
// messaging and RPC, whatever the transport.
package tracing

import (
	"context"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// The RPC systems of calls.
const (
	GRPC    = "grpc"
	Connect = "connectrpc"
)

// Tracer makes spans. nil makes none, at no cost.
type Tracer struct {
	tracer trace.Tracer
	calls  sync.Map // By callKey: the *call.
}

// New returns a tracer of a server of some version. Without a provider it is nil.
func New(provider trace.TracerProvider, version string) *Tracer {
	if provider == nil {
		return nil
	}
	return &Tracer{tracer: provider.Tracer("example.com/tidings/server",
		trace.WithInstrumentationVersion(version), trace.WithSchemaURL(semconv.SchemaURL))}
}

// callKey tells kinds of calls apart.
type callKey struct{ system, procedure string }

// call is what the spans of all calls of one kind have in common, made once.
type call struct {
	method string // Without a slash in front.
	unary  []trace.SpanStartOption
	parts  [operations][]trace.SpanStartOption
}

// contextKey is under which the context of a call has its *call.
type contextKey struct{}

// Enter returns the context of a call, such as /tidings.v1.PublisherService/Publish,
// over a system. It has the trace context of the caller, in the headers traceparent and
// tracestate of W3C Trace Context.
func (t *Tracer) Enter(ctx context.Context, system, procedure string, header func(name string) string) context.Context {
	if t == nil {
		return ctx
	}
	key := callKey{system, procedure}
	known, ok := t.calls.Load(key)
	if !ok { // The procedures are those that the server has, so there are few.
		known, _ = t.calls.LoadOrStore(key, newCall(key))
	}
	return propagation.TraceContext{}.Extract(context.WithValue(ctx, contextKey{}, known), carrier(header))
}

func newCall(key callKey) *call {
	c := &call{method: strings.TrimPrefix(key.procedure, "/")}
	common := []attribute.KeyValue{semconv.RPCSystemNameKey.String(key.system), semconv.RPCMethod(c.method)}
	server := trace.WithSpanKind(trace.SpanKindServer)
	c.unary = []trace.SpanStartOption{server, trace.WithAttributes(common...)}
	for o := range operations {
		c.parts[o] = []trace.SpanStartOption{server, trace.WithAttributes(append(common[:2:2], o.attributes()...)...)}
	}
	return c
}

// Call begins the span of a call that was entered and has one request. It is named
// after its method until Describe names it.
func (t *Tracer) Call(ctx context.Context) (context.Context, trace.Span) {
	if t == nil {
		return ctx, none
	}
	c, ok := ctx.Value(contextKey{}).(*call)
	if !ok {
		return ctx, none
	}
	return t.tracer.Start(ctx, c.method, c.unary...) //nolint:spancheck // EndCall ends it.
}

// Current returns the span of a call with one request.
func (t *Tracer) Current(ctx context.Context) trace.Span {
	if t == nil {
		return none
	}
	return trace.SpanFromContext(ctx)
}

// Part begins the span of a part of a stream that was entered, as of a time. Its parent
// is this one if it is valid, and otherwise the caller's.
func (t *Tracer) Part(ctx context.Context, of Operation, at time.Time, parent trace.SpanContext) trace.Span {
	if t == nil {
		return none
	}
	c, ok := ctx.Value(contextKey{}).(*call)
	if !ok {
		return none
	}
	if parent.IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, parent)
	}
	_, span := t.tracer.Start(ctx, of.String(), append(c.parts[of][:2:2], trace.WithTimestamp(at))...) //nolint:spancheck // End ends it.
	return span                                                                                        //nolint:spancheck // As it says above.
}

// Failed makes the span of a stream that was entered, began at a time and has failed now,
// which may have been before there was any part of it.
func (t *Tracer) Failed(ctx context.Context, begun time.Time, fault Fault) {
	if t == nil || fault.Reason == "CANCELLED" { // Which is how most streams end.
		return
	}
	c, ok := ctx.Value(contextKey{}).(*call)
	if !ok {
		return
	}
	_, span := t.tracer.Start(ctx, c.method, append(c.unary[:2:2], trace.WithTimestamp(begun))...) //nolint:spancheck // EndCall ends it.
	EndCall(span, fault)
} //nolint:spancheck // It is ended.

// none is a span that records nothing.
var none = trace.SpanFromContext(context.Background())

// Fault is why something failed. The zero value: it didn't.
type Fault struct {
	// Reason is that of the catalogue, such as EVENT_INVALID.
	Reason string
	// Code is that of gRPC, such as INVALID_ARGUMENT.
	Code string
}

// End ends the span of a part of a stream. Messages of errors aren't in spans: they may
// say what a client sent.
func End(span trace.Span, fault Fault) {
	if span.IsRecording() && fault.Reason != "" {
		span.SetAttributes(semconv.ErrorTypeKey.String(fault.Reason))
		if ofServer[fault.Code] {
			span.SetStatus(codes.Error, fault.Reason)
		}
	}
	span.End()
}

// EndCall is End for a call with one request.
func EndCall(span trace.Span, fault Fault) {
	if span.IsRecording() {
		code := fault.Code
		if code == "" {
			code = "OK"
		}
		span.SetAttributes(semconv.RPCResponseStatusCode(code))
	}
	End(span, fault)
}

// ofServer are the codes that make a call an error of the server's side, as the semantic
// conventions for gRPC say.
var ofServer = map[string]bool{
	"UNKNOWN": true, "DEADLINE_EXCEEDED": true, "UNIMPLEMENTED": true, "INTERNAL": true, "UNAVAILABLE": true, "DATA_LOSS": true,
}

// carrier makes a carrier of what returns the value of a header.
type carrier func(name string) string

func (c carrier) Get(name string) string { return c(name) }

func (c carrier) Set(string, string) {}

func (c carrier) Keys() []string { return nil }
