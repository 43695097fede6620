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

// System is the RPC system of a call.
type System int

// The RPC systems of a server.
const (
	GRPC System = iota
	Connect

	systems
)

// String is the system's name in the semantic conventions.
func (s System) String() string { return [systems]string{"grpc", "connectrpc"}[s] }

// Tracer makes spans. nil makes none, at no cost. Most calls of a server that samples
// aren't in the sample, so what they cost counts most: attributes are set where a span
// records alone.
type Tracer struct {
	tracer trace.Tracer
	calls  [systems]sync.Map // By procedure: the *call.
}

// New returns a tracer of a server of some version. Without a provider it is nil.
func New(provider trace.TracerProvider, version string) *Tracer {
	if provider == nil {
		return nil
	}
	return &Tracer{tracer: provider.Tracer("example.com/tidings/server",
		trace.WithInstrumentationVersion(version), trace.WithSchemaURL(semconv.SchemaURL))}
}

// call is what the spans of all calls of one kind have in common, made once.
type call struct {
	method string // Without a slash in front.
	common []attribute.KeyValue
	parts  [operations][]attribute.KeyValue
}

// call returns what the calls of a procedure have in common, such as
// /tidings.v1.PublisherService/Publish. The procedures are those that the server has, so
// there are few.
func (t *Tracer) call(system System, procedure string) *call {
	known, ok := t.calls[system].Load(procedure)
	if !ok {
		known, _ = t.calls[system].LoadOrStore(procedure, newCall(system, procedure))
	}
	return known.(*call) //nolint:forcetypeassert // Nothing else is stored.
}

func newCall(system System, procedure string) *call {
	c := &call{method: strings.TrimPrefix(procedure, "/")}
	c.common = []attribute.KeyValue{semconv.RPCSystemNameKey.String(system.String()), semconv.RPCMethod(c.method)}
	for o := range operations {
		c.parts[o] = append(c.common[:2:2], o.attributes()...)
	}
	return c
}

// ofServer is the kind of all spans.
var ofServer = trace.WithSpanKind(trace.SpanKindServer)

// extract returns a context with the trace context of a caller, in the headers
// traceparent and tracestate of W3C Trace Context. nil: there is none.
func extract(ctx context.Context, header func(name string) string) context.Context {
	if header == nil {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, carrier(header))
}

// Call begins the span of a call with one request, over a system. It is named after its
// method until Describe names it.
func (t *Tracer) Call(ctx context.Context, system System, procedure string, header func(name string) string) (context.Context, trace.Span) {
	if t == nil {
		return ctx, none
	}
	c := t.call(system, procedure)
	ctx, span := t.tracer.Start(extract(ctx, header), c.method, ofServer)
	if span.IsRecording() {
		span.SetAttributes(c.common...)
	}
	return ctx, span
}

// Current returns the span of a call with one request.
func (t *Tracer) Current(ctx context.Context) trace.Span {
	if t == nil {
		return none
	}
	return trace.SpanFromContext(ctx)
}

// contextKey is under which the context of a stream has its *call.
type contextKey struct{}

// Enter returns the context of a stream, over a system, for the spans of its parts.
func (t *Tracer) Enter(ctx context.Context, system System, procedure string, header func(name string) string) context.Context {
	if t == nil {
		return ctx
	}
	return extract(context.WithValue(ctx, contextKey{}, t.call(system, procedure)), header)
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
	_, span := t.tracer.Start(ctx, of.String(), ofServer, trace.WithTimestamp(at))
	if span.IsRecording() {
		span.SetAttributes(c.parts[of]...)
	}
	return span
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
	_, span := t.tracer.Start(ctx, c.method, ofServer, trace.WithTimestamp(begun)) //nolint:spancheck // EndCall ends it.
	span.SetAttributes(c.common...)
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
		if serverCodes[fault.Code] {
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

// serverCodes are the codes that make a call an error of the server's side, as the semantic
// conventions for gRPC say.
var serverCodes = map[string]bool{
	"UNKNOWN": true, "DEADLINE_EXCEEDED": true, "UNIMPLEMENTED": true, "INTERNAL": true, "UNAVAILABLE": true, "DATA_LOSS": true,
}

// carrier makes a carrier of what returns the value of a header.
type carrier func(name string) string

func (c carrier) Get(name string) string { return c(name) }

func (c carrier) Set(string, string) {}

func (c carrier) Keys() []string { return nil }
