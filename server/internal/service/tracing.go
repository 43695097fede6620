package service

import (
	"context"
	"errors"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/encoding/protowire"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/eventwire"
	"example.com/tidings/server/internal/tracing"
)

// describePublish says what a request to publish is about, in the span of its call.
func (s *Service) describePublish(ctx context.Context, b *batch, p *publication) {
	span := s.tracer.Current(ctx)
	if !span.IsRecording() {
		return
	}
	describeBatch(span, b, p, trace.SpanContext{})
}

// describeBatch names the topic and the number of a batch's events, and links to the
// trace contexts in which they were made, unless that is the span's parent.
func describeBatch(span trace.Span, b *batch, p *publication, parent trace.SpanContext) {
	topic := ""
	if p != nil && p.topic != nil {
		topic = p.topic.Name
	}
	tracing.Describe(span, tracing.Send, topic, "", len(b.events))
	for i := range b.events {
		if of := traceOf(b.events[i].raw); of.IsValid() && !of.Equal(parent) {
			span.AddLink(trace.Link{SpanContext: of})
		}
	}
}

// traceBatch makes the span of a batch of a stream that has been answered: err says how.
func (p *pipeline) traceBatch(ctx context.Context, j *job, err error) {
	if p.service.tracer == nil {
		return
	}
	parent := commonTrace(j.batch.events)
	span := p.service.tracer.Part(ctx, tracing.Send, j.received, parent)
	if span.IsRecording() {
		describeBatch(span, &j.batch, j.publication, parent)
	}
	tracing.End(span, faultOf(span, err))
}

// commonTrace returns the trace context of the first event of a batch, if all events
// are of the same trace.
func commonTrace(events []sentEvent) (parent trace.SpanContext) {
	for i := range events {
		of := traceOf(events[i].raw)
		switch {
		case !of.IsValid():
			return trace.SpanContext{}
		case i == 0:
			parent = of
		case of.TraceID() != parent.TraceID():
			return trace.SpanContext{}
		}
	}
	return parent
}

// traceOf returns the trace context that an encoded event has in its attributes.
func traceOf(raw []byte) trace.SpanContext {
	parent, state := eventwire.Texts(raw, tracing.AttributeParent, tracing.AttributeState)
	if parent == "" {
		return trace.SpanContext{}
	}
	return tracing.Parse(parent, strings.Clone(state)) // A span may keep the state.
}

// TraceFault is what a span says of an error of the catalogue. nil: nothing failed.
func TraceFault(failed *Error) tracing.Fault {
	if failed == nil {
		return tracing.Fault{}
	}
	return tracing.Fault{Reason: failed.Name(), Code: strings.TrimPrefix(failed.Options().GetCode().String(), "STATUS_CODE_")}
}

// faultOf is what a span that records says of an error. nil: nothing failed.
func faultOf(span trace.Span, err error) tracing.Fault {
	if err == nil || !span.IsRecording() {
		return tracing.Fault{}
	}
	known, ok := errors.AsType[*Error](err)
	switch {
	case ok:
		return TraceFault(known)
	case errors.Is(err, context.DeadlineExceeded):
		return tracing.Fault{Reason: "DEADLINE_EXCEEDED", Code: "DEADLINE_EXCEEDED"}
	case errors.Is(err, context.Canceled):
		return tracing.Fault{Reason: "CANCELLED", Code: "CANCELLED"}
	default:
		return tracing.Fault{Reason: "INTERNAL", Code: "INTERNAL"}
	}
}

// beginFrame begins a frame of events that has room for some bytes, and its span.
func (r *readCall) beginFrame(ctx context.Context, bytes int) {
	r.frame = newFrame(bytes)
	if r.service.tracer != nil {
		r.span = r.service.tracer.Part(ctx, tracing.Receive, time.Now(), trace.SpanContext{})
	}
}

// traceSent ends the span of a frame with so many events, which was sent, or failed with
// an error.
func (r *readCall) traceSent(events int, err error) {
	if r.span == nil {
		return
	}
	if r.span.IsRecording() {
		tracing.Describe(r.span, tracing.Receive, r.topic.Name, "", events)
	}
	tracing.End(r.span, faultOf(r.span, err))
	r.span = nil
}

// linkTo links a span to the trace context of an encoded event.
func linkTo(span trace.Span, raw []byte) {
	if of := traceOf(raw); of.IsValid() {
		span.AddLink(trace.Link{SpanContext: of})
	}
}

// describeDeliveries says in a span what an encoded DeliveryBatch delivers.
func describeDeliveries(span trace.Span, subscription *engine.Subscription, batch []byte) {
	const first = protowire.Number(1) // deliveries, recorded and event.
	events := 0
	nested := func(visit func([]byte)) func(protowire.Number, uint64, []byte) bool {
		return func(number protowire.Number, _ uint64, value []byte) bool {
			if number == first && value != nil {
				visit(value)
			}
			return true
		}
	}
	eventwire.Scan(batch, nested(func(delivery []byte) {
		events++
		eventwire.Scan(delivery, nested(func(recorded []byte) {
			eventwire.Scan(recorded, nested(func(event []byte) { linkTo(span, event) }))
		}))
	}))
	tracing.Describe(span, tracing.Receive, subscription.Config.GetTopic(), subscription.Name, events)
}

// describeSettle says in the span of a call what it settles.
func (s *Service) describeSettle(ctx context.Context, subscription *engine.Subscription, settlements int) {
	if span := s.tracer.Current(ctx); span.IsRecording() {
		tracing.Describe(span, tracing.Settle, subscription.Config.GetTopic(), subscription.Name, settlements)
	}
}
