package tracing

import (
	"context"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"example.com/tidings/client"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// attributeAttempt is the number of the attempt that a delivery is.
const attributeAttempt = attribute.Key("tidings.delivery.attempt")

// handled is a delivery whose handler was called.
type handled struct {
	tracer       trace.Tracer
	ctx          context.Context //nolint:containedctx // That of the span of the handler, for the settlement's.
	process      trace.Span
	subscription string
	topic        string
	id           []attribute.KeyValue
	ended        time.Time // When the handler returned.
}

// Handle implements client.Tracer.
func (t tracer) Handle(ctx context.Context, subscription string, delivery *client.Delivery) (context.Context, client.HandleTrace) {
	recorded := delivery.GetRecorded()
	h := &handled{tracer: t.tracer, subscription: subscription, topic: recorded.GetTopic(), id: ofEvent(recorded.GetEvent())}
	name, options := process.options(h.topic, subscription, append(slices.Clip(h.id), attributeAttempt.Int(int(delivery.GetAttempt())))...)
	if made := SpanContext(recorded.GetEvent()); made.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: made}))
		ctx = trace.ContextWithRemoteSpanContext(ctx, made)
	}
	ctx, h.process = t.tracer.Start(ctx, name, options...) //nolint:spancheck // Handled ends it.
	h.ctx = trace.ContextWithSpanContext(context.Background(), h.process.SpanContext())
	return ctx, h
}

// Handled implements client.HandleTrace.
func (h *handled) Handled(err error) {
	h.ended = time.Now()
	if err != nil {
		fail(h.process, errorType(err))
	}
	h.process.End(trace.WithTimestamp(h.ended))
}

// Settled implements client.HandleTrace.
func (h *handled) Settled(result *tidingsv1.SettlementResult) {
	name, options := settle.options(h.topic, h.subscription, h.id...)
	_, span := h.tracer.Start(h.ctx, name, append(options, trace.WithTimestamp(h.ended))...)
	defer span.End()
	switch status := result.GetStatus(); status {
	case tidingsv1.SettlementStatus_SETTLEMENT_STATUS_APPLIED, tidingsv1.SettlementStatus_SETTLEMENT_STATUS_ALREADY_APPLIED:
	default:
		fail(span, strings.TrimPrefix(status.String(), "SETTLEMENT_STATUS_"))
	}
}
