package client

import (
	"context"

	"google.golang.org/protobuf/encoding/protowire"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// Tracer makes the spans of a [Publisher] and of a [Consumer]; a [Reader] has none, since it
// doesn't see what becomes of an event. The module
// example.com/tidings/client/tracing has one for OpenTelemetry: this package has
// functions to be called instead, so that who doesn't trace needs no library for it.
//
// Its methods, and those of what they return, are called by many goroutines. They must
// not block, and must not keep or change events.
type Tracer interface {
	// Publish is called when a call of a Publisher begins, with its context. The topic is
	// empty where this program doesn't know the one that a type declares.
	Publish(ctx context.Context, topic string, events []*tidingsv1.Event) PublishTrace
	// Handle is called before the handler of a delivery, with the context of the handler,
	// and returns that to call it with.
	Handle(ctx context.Context, subscription string, delivery *Delivery) (context.Context, HandleTrace)
}

// PublishTrace is told what becomes of a call of a Publisher.
type PublishTrace interface {
	// TraceContext returns what the attributes traceparent and tracestate of an event of
	// the call are to be, by its index. Empty: it gets none, because it has them or
	// nothing is traced.
	TraceContext(index int) (parent, state string)
	// Done is called once it is known what became of the events.
	Done(receipts []Receipt, err error)
}

// HandleTrace is told what becomes of a delivery.
type HandleTrace interface {
	// Handled is called when the handler has returned.
	Handled(err error)
	// Settled is called with the result of the settlement, after Handled, unless there is
	// none.
	Settled(result *tidingsv1.SettlementResult)
}

// noTrace traces nothing.
type noTrace struct{}

func (noTrace) TraceContext(int) (parent, state string) { return "", "" }

func (noTrace) Done([]Receipt, error) {}

func (noTrace) Handled(error) {}

func (noTrace) Settled(*tidingsv1.SettlementResult) {}

// traceAttributes returns entries of attributes with a trace context, encoded as fields of
// an event.
func traceAttributes(parent, state string) []byte {
	if parent == "" {
		return nil
	}
	encoded := appendAttribute(make([]byte, 0, 128), "traceparent", parent)
	if state != "" {
		encoded = appendAttribute(encoded, "tracestate", state)
	}
	return encoded
}

// appendAttribute appends an entry of Event.attributes, which has a key and a value.
func appendAttribute(data []byte, key, value string) []byte {
	data = protowire.AppendVarint(append(data, tag6), uint64(attributeSize(key, value)))
	data = protowire.AppendString(append(data, tag1), key)
	return protowire.AppendString(append(data, tag2), value)
}

func attributeSize(key, value string) int {
	return 2 + protowire.SizeBytes(len(key)) + protowire.SizeBytes(len(value))
}
