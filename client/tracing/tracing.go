// Package tracing makes the spans of a Tidings client with OpenTelemetry: those of a
// client.Publisher and of a client.Consumer, by the semantic conventions for messaging.
// The trace context travels in the events, in the attributes traceparent and tracestate
// of CloudEvents' extension for distributed tracing, so that consumers in any language
// join the trace.
//
// It is a module of its own, since the client itself requires no tracing library.
package tracing

import (
	"context"
	"slices"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"example.com/tidings/client"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// The attributes of an event with a trace context.
const (
	attributeParent = "traceparent"
	attributeState  = "tracestate"
)

type tracer struct{ tracer trace.Tracer }

// New returns a tracer for client.PublisherOptions and client.ConsumerOptions, which makes
// its spans with a provider. Nil: the global one, as it is when a span begins.
//
// A call of a Publisher with one event has a span `send TOPIC`, from the call to the
// receipt, whose context the event gets. A call with several has a span `create TOPIC`
// for each, whose context that event gets, and one `send TOPIC` that is linked to them. An
// event that has a trace context keeps it, and the span is linked to that.
//
// A handler has a span `process TOPIC`, which is a child of its event's context and linked
// to it, and its settlement has a child of that, `settle TOPIC`. Where an event has no
// context, the one of Consumer.Run is the parent.
//
// An error has its reason by the catalogue as error.type, or the Go type of it. Texts of
// errors aren't in spans: they may say what an event holds.
func New(provider trace.TracerProvider) client.Tracer {
	if provider == nil {
		provider = otel.GetTracerProvider()
	}
	return tracer{provider.Tracer("example.com/tidings/client", trace.WithSchemaURL(semconv.SchemaURL))}
}

// SpanContext returns the trace context in which an event was made. It isn't valid where
// the event has none.
func SpanContext(event *tidingsv1.Event) trace.SpanContext {
	if event.GetAttributes()[attributeParent] == "" {
		return trace.SpanContext{}
	}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier(event.GetAttributes())))
}

// Inject gives an event the trace context of ctx, unless it has one: for who publishes
// with the generated stubs.
func Inject(ctx context.Context, event *tidingsv1.Event) {
	if event.GetAttributes()[attributeParent] != "" || !trace.SpanContextFromContext(ctx).IsValid() {
		return
	}
	if event.Attributes == nil {
		event.Attributes = make(map[string]string)
	}
	propagation.TraceContext{}.Inject(ctx, propagation.MapCarrier(event.GetAttributes()))
}

// operation is what a span is of.
type operation struct {
	name string
	kind trace.SpanKind
}

var (
	create  = operation{"create", trace.SpanKindProducer}
	send    = operation{"send", trace.SpanKindProducer}
	sendAll = operation{"send", trace.SpanKindClient}
	process = operation{"process", trace.SpanKindConsumer}
	settle  = operation{"settle", trace.SpanKindClient}
)

// options begin a span of an operation.
func (o operation) options(topic, subscription string, more ...attribute.KeyValue) (name string, options []trace.SpanStartOption) {
	attributes := append(slices.Clip(more),
		semconv.MessagingSystemKey.String("tidings"),
		semconv.MessagingOperationName(o.name),
		semconv.MessagingOperationTypeKey.String(o.name))
	name = o.name
	if topic != "" {
		name += " " + topic
		attributes = append(attributes, semconv.MessagingDestinationName(topic))
	}
	if subscription != "" {
		attributes = append(attributes, semconv.MessagingConsumerGroupName(subscription))
	}
	return name, []trace.SpanStartOption{trace.WithSpanKind(o.kind), trace.WithAttributes(attributes...)}
}

func fail(span trace.Span, errorType string) {
	if span.IsRecording() {
		span.SetAttributes(semconv.ErrorTypeKey.String(errorType))
		span.SetStatus(codes.Error, "")
	}
}
