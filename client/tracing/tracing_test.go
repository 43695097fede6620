package tracing_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/types/known/anypb"

	"example.com/tidings/client"
	"example.com/tidings/client/tracing"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// secret is part of payloads and of texts of errors, and must not be part of spans.
const secret = "topsecret"

// spans are what a provider of the test made.
type spans struct {
	t        *testing.T
	exporter *tracetest.InMemoryExporter
	provider *sdk.TracerProvider
}

func record(t *testing.T, options ...sdk.TracerProviderOption) *spans {
	t.Helper()
	exporter := tracetest.NewInMemoryExporter()
	return &spans{t, exporter, sdk.NewTracerProvider(append(options, sdk.WithSyncer(exporter))...)}
}

// root begins a span of the program, in whose context it works.
func (s *spans) root() context.Context {
	ctx, span := s.provider.Tracer("test").Start(s.t.Context(), "root")
	span.End()
	return ctx
}

// expect compares the spans, but for the root, with lines: kind, name, attributes, the
// name of the parent and those of the links.
func (s *spans) expect(want ...string) {
	s.t.Helper()
	names := make(map[trace.SpanID]string)
	for _, span := range s.exporter.GetSpans() {
		names[span.SpanContext.SpanID()] = span.Name
	}
	var got []string
	for _, span := range s.exporter.GetSpans() {
		if span.Name == "root" {
			continue
		}
		var attributes, links []string
		for _, a := range span.Attributes {
			if strings.Contains(a.Value.String(), secret) {
				s.t.Errorf("%s has %s=%s", span.Name, a.Key, a.Value.String())
			}
			if !slices.Contains([]attribute.Key{"messaging.system", "messaging.operation.name", "messaging.destination.name"}, a.Key) {
				attributes = append(attributes, fmt.Sprintf("%s=%s", strings.TrimPrefix(string(a.Key), "messaging."), a.Value.String()))
			}
		}
		slices.Sort(attributes)
		for _, link := range span.Links {
			links = append(links, names[link.SpanContext.SpanID()])
		}
		line := fmt.Sprintf("%s %s %v parent=%s links=%v", span.SpanKind, span.Name, attributes, names[span.Parent.SpanID()], links)
		if span.Status.Code == codes.Error {
			line += " failed"
		}
		got = append(got, line+span.Status.Description)
	}
	if !slices.Equal(got, want) {
		s.t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func events(ids ...string) (list []*tidingsv1.Event) {
	for _, id := range ids {
		list = append(list, &tidingsv1.Event{Id: id, Data: &anypb.Any{TypeUrl: "type.googleapis.com/shop.Order", Value: []byte(secret)}})
	}
	return list
}

// carry gives an event the trace context that a call has for it, as a Publisher does.
func carry(call client.PublishTrace, index int, event *tidingsv1.Event) *tidingsv1.Event {
	if parent, state := call.TraceContext(index); parent != "" {
		event.Attributes = map[string]string{"traceparent": parent, "tracestate": state}
	}
	return event
}

func delivery(event *tidingsv1.Event) *client.Delivery {
	return &client.Delivery{Recorded: &tidingsv1.RecordedEvent{Topic: "orders", Event: event}, Attempt: 2}
}

func result(status tidingsv1.SettlementStatus) *tidingsv1.SettlementResult {
	return &tidingsv1.SettlementResult{Status: status}
}

// TestOneEvent follows an event from a call to its settlement.
func TestOneEvent(t *testing.T) {
	s := record(t)
	tracer := tracing.New(s.provider)
	event := events("1")[0]
	call := tracer.Publish(s.root(), "", []*tidingsv1.Event{event})
	carry(call, 0, event)
	call.Done([]client.Receipt{{Topic: "orders", Sequence: 1}}, nil)
	ctx, handled := tracer.Handle(t.Context(), "billing", delivery(event))
	_, inner := s.provider.Tracer("test").Start(ctx, "inner")
	inner.End()
	handled.Handled(nil)
	handled.Settled(result(tidingsv1.SettlementStatus_SETTLEMENT_STATUS_APPLIED))
	s.expect(
		"producer send orders [message.id=1 operation.type=send] parent=root links=[]",
		"internal inner [] parent=process orders links=[]",
		"consumer process orders [consumer.group.name=billing message.id=1 operation.type=process tidings.delivery.attempt=2] parent=send orders links=[send orders]",
		"client settle orders [consumer.group.name=billing message.id=1 operation.type=settle] parent=process orders links=[]",
	)
	if all := s.exporter.GetSpans(); all[0].SpanContext.TraceID() != all[len(all)-1].SpanContext.TraceID() {
		t.Error("the settlement is in another trace than the program")
	}
}

// TestFailures wants errors to have a type and no text.
func TestFailures(t *testing.T) {
	s := record(t)
	tracer := tracing.New(s.provider)
	for _, err := range []error{
		&client.RefusedError{Detail: &tidingsv1.ErrorDetail{Reason: tidingsv1.ErrorReason_ERROR_REASON_EVENT_INVALID, Message: secret}},
		context.DeadlineExceeded, errors.New(secret),
	} {
		tracer.Publish(s.root(), "orders", events("1")).Done(nil, err)
	}
	_, handled := tracer.Handle(s.root(), "billing", delivery(events("1")[0]))
	handled.Handled(client.DeadLetter(errors.New(secret)))
	handled.Settled(result(tidingsv1.SettlementStatus_SETTLEMENT_STATUS_LEASE_LOST))
	s.expect(
		"producer send orders [error.type=EVENT_INVALID message.id=1 operation.type=send] parent=root links=[] failed",
		"producer send orders [error.type=context.DeadlineExceeded message.id=1 operation.type=send] parent=root links=[] failed",
		"producer send orders [error.type=*errors.errorString message.id=1 operation.type=send] parent=root links=[] failed",
		"consumer process orders [consumer.group.name=billing error.type=*client.nackError message.id=1 operation.type=process tidings.delivery.attempt=2] parent=root links=[] failed",
		"client settle orders [consumer.group.name=billing error.type=LEASE_LOST message.id=1 operation.type=settle] parent=process orders links=[] failed",
	)
}

// TestSeveralEvents gives each its own context, but for one that has one.
func TestSeveralEvents(t *testing.T) {
	s := record(t)
	tracer := tracing.New(s.provider)
	list := events("1", "2", "")
	tracing.Inject(s.root(), list[1])
	before := tracing.SpanContext(list[1])
	call := tracer.Publish(s.root(), "orders", list)
	for i, event := range list {
		carry(call, i, event)
	}
	call.Done([]client.Receipt{{Topic: "orders"}, {Topic: "orders"}, {Topic: "orders"}}, nil)
	s.expect(
		"producer create orders [message.id=1 operation.type=create] parent=root links=[]",
		"producer create orders [operation.type=create] parent=root links=[]",
		"client send orders [batch.message_count=3 operation.type=send] parent=root links=[create orders root create orders]",
	)
	made := []trace.SpanContext{tracing.SpanContext(list[0]), tracing.SpanContext(list[1]), tracing.SpanContext(list[2])}
	if !made[1].Equal(before) || made[0].SpanID() == made[2].SpanID() || !made[0].IsSampled() || !made[2].IsSampled() {
		t.Errorf("the contexts are %v", made)
	}
}

// TestNotSampled makes no spans, and lets consumers know that.
func TestNotSampled(t *testing.T) {
	s := record(t, sdk.WithSampler(sdk.NeverSample()))
	tracer := tracing.New(s.provider)
	list := events("1", "2")
	call := tracer.Publish(t.Context(), "orders", list)
	for i, event := range list {
		if of := tracing.SpanContext(carry(call, i, event)); !of.IsValid() || of.IsSampled() {
			t.Errorf("the context is %v", of)
		}
	}
	call.Done(nil, nil)
	_, handled := tracer.Handle(t.Context(), "billing", delivery(list[0]))
	handled.Handled(nil)
	handled.Settled(result(tidingsv1.SettlementStatus_SETTLEMENT_STATUS_APPLIED))
	s.expect()
}

// TestNoProvider gives events nothing where nobody has set up tracing.
func TestNoProvider(t *testing.T) {
	call := tracing.New(nil).Publish(t.Context(), "orders", events("1"))
	if parent, state := call.TraceContext(0); parent != "" || state != "" {
		t.Errorf("the context is %q, %q", parent, state)
	}
	call.Done(nil, nil)
	event := events("1")[0]
	tracing.Inject(t.Context(), event)
	if len(event.GetAttributes()) > 0 || tracing.SpanContext(event).IsValid() {
		t.Errorf("the event is %v", event)
	}
}
