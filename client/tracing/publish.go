package tracing

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"example.com/tidings/client"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// published is a call of a Publisher.
type published struct {
	send trace.Span
	// made are the contexts that the events get, or the one that all get. One that isn't
	// valid: the event has its own.
	made []trace.SpanContext
}

// Publish implements client.Tracer.
func (t tracer) Publish(ctx context.Context, topic string, events []*tidingsv1.Event) client.PublishTrace {
	if len(events) == 1 {
		return t.publishOne(ctx, topic, events[0])
	}
	name, options := sendAll.options(topic, "", semconv.MessagingBatchMessageCount(len(events)))
	sent, span := t.tracer.Start(ctx, name, options...)
	p := &published{send: span, made: make([]trace.SpanContext, 0, len(events))}
	for _, event := range events {
		own := SpanContext(event)
		switch {
		case own.IsValid():
			span.AddLink(trace.Link{SpanContext: own})
			p.made = append(p.made, trace.SpanContext{})
		case span.IsRecording():
			made := t.create(ctx, topic, event)
			span.AddLink(trace.Link{SpanContext: made})
			p.made = append(p.made, made)
		default: // Nobody would see the spans, but consumers are to know that.
			p.made = append(p.made, trace.SpanContextFromContext(sent))
		}
	}
	return p
}

func (t tracer) publishOne(ctx context.Context, topic string, event *tidingsv1.Event) client.PublishTrace {
	name, options := send.options(topic, "", ofEvent(event)...)
	own := SpanContext(event)
	if own.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: own}))
	}
	sent, span := t.tracer.Start(ctx, name, options...)
	p := &published{send: span, made: make([]trace.SpanContext, 1)}
	if !own.IsValid() {
		p.made[0] = trace.SpanContextFromContext(sent)
	}
	return p
}

// create makes the span of an event that is published with others.
func (t tracer) create(ctx context.Context, topic string, event *tidingsv1.Event) trace.SpanContext {
	name, options := create.options(topic, "", ofEvent(event)...)
	_, span := t.tracer.Start(ctx, name, options...)
	defer span.End()
	return span.SpanContext()
}

// ofEvent is what a span says of one event.
func ofEvent(event *tidingsv1.Event) []attribute.KeyValue {
	if event.GetId() == "" { // The Publisher gives it one.
		return nil
	}
	return []attribute.KeyValue{semconv.MessagingMessageID(event.GetId())}
}

// TraceContext implements client.PublishTrace.
func (p *published) TraceContext(index int) (parent, state string) {
	of := p.made[index]
	if !of.IsValid() {
		return "", ""
	}
	carrier := make(propagation.MapCarrier, 2)
	propagation.TraceContext{}.Inject(trace.ContextWithSpanContext(context.Background(), of), carrier)
	return carrier[attributeParent], carrier[attributeState]
}

// Done implements client.PublishTrace.
func (p *published) Done(receipts []client.Receipt, err error) {
	if err != nil {
		fail(p.send, errorType(err))
	}
	if len(receipts) > 0 && p.send.IsRecording() { // Which the call may not have known.
		p.send.SetAttributes(semconv.MessagingDestinationName(receipts[0].Topic))
		p.send.SetName("send " + receipts[0].Topic)
	}
	p.send.End()
}

// errorType is the reason of an error by the catalogue, or its type.
func errorType(err error) string {
	if reason := client.Reason(err); reason != "" {
		return reason
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "context.DeadlineExceeded"
	case errors.Is(err, context.Canceled):
		return "context.Canceled"
	case errors.Is(err, client.ErrClosed):
		return "client.ErrClosed"
	default:
		return fmt.Sprintf("%T", err)
	}
}
