package tracing

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// messagingSystem is the messaging system in spans.
const messagingSystem = "tidings"

// Operation is what is done with events.
type Operation int

// The operations of a server.
const (
	Send    Operation = iota // Events are published.
	Receive                  // Events are read or delivered.
	Settle                   // Deliveries are settled.

	operations
)

// String is the operation's name, and its type, in the semantic conventions.
func (o Operation) String() string { return [operations]string{"send", "receive", "settle"}[o] }

func (o Operation) attributes() []attribute.KeyValue {
	return []attribute.KeyValue{
		semconv.MessagingSystemKey.String(messagingSystem),
		semconv.MessagingOperationName(o.String()),
		semconv.MessagingOperationTypeKey.String(o.String()),
	}
}

// Describe says what a span that records is about: so many events, of a topic and of a
// subscription. Empty: it isn't known, or there is none.
func Describe(span trace.Span, of Operation, topic, subscription string, events int) {
	name := of.String()
	attributes := append(of.attributes(), semconv.MessagingBatchMessageCount(events))
	if topic != "" {
		name += " " + topic
		attributes = append(attributes, semconv.MessagingDestinationName(topic))
	}
	if subscription != "" {
		attributes = append(attributes, semconv.MessagingConsumerGroupName(subscription))
	}
	span.SetName(name)
	span.SetAttributes(attributes...)
}

// The attributes of an event with the trace context in which it was made, by the
// CloudEvents extension for distributed tracing.
const (
	AttributeParent = "traceparent"
	AttributeState  = "tracestate"
)

// Parse returns the trace context that an event has in its attributes. It isn't valid
// where they aren't.
func Parse(parent, state string) trace.SpanContext {
	if parent == "" {
		return trace.SpanContext{}
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(), carrier(func(name string) string {
		if name == AttributeParent {
			return parent
		}
		return state
	}))
	return trace.SpanContextFromContext(ctx)
}

// Link links a span to the trace context of an event, if there is one. The SDK bounds
// how many links a span has.
func Link(span trace.Span, parent, state string) {
	if of := Parse(parent, state); of.IsValid() {
		span.AddLink(trace.Link{SpanContext: of})
	}
}
