package tracing_test

import (
	"testing"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"example.com/tidings/server/internal/tracing"
)

const procedure = "/tidings.v1.PublisherService/Publish"

// samplings are a tracer that makes nothing, one whose spans aren't sampled, and one
// whose spans are, for an exporter that drops them.
func samplings() map[string]*tracing.Tracer {
	return map[string]*tracing.Tracer{
		"off":         nil,
		"not sampled": tracing.New(sdk.NewTracerProvider(sdk.WithSampler(sdk.NeverSample())), "1"),
		"sampled":     tracing.New(sdk.NewTracerProvider(sdk.WithSampler(sdk.AlwaysSample())), "1"),
	}
}

// call does with a tracer what a call with one request does.
func call(b *testing.B, t *tracing.Tracer) {
	b.Helper()
	ctx, span := t.Call(b.Context(), tracing.GRPC, procedure, nil)
	if current := t.Current(ctx); current.IsRecording() {
		tracing.Describe(current, tracing.Send, "orders", "", 1)
	}
	tracing.EndCall(span, tracing.Fault{})
}

// BenchmarkCall is what a call with one request costs.
func BenchmarkCall(b *testing.B) {
	for name, t := range samplings() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				call(b, t)
			}
		})
	}
}

// BenchmarkPart is what a batch of a stream costs.
func BenchmarkPart(b *testing.B) {
	for name, t := range samplings() {
		b.Run(name, func(b *testing.B) {
			ctx := t.Enter(b.Context(), tracing.GRPC, procedure, nil)
			b.ReportAllocs()
			for b.Loop() {
				span := t.Part(ctx, tracing.Send, time.Now(), trace.SpanContext{})
				if span.IsRecording() {
					tracing.Describe(span, tracing.Send, "orders", "", 100)
				}
				tracing.End(span, tracing.Fault{})
			}
		})
	}
}

// TestParse wants contexts to be taken that W3C Trace Context allows, and no others.
func TestParse(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for _, test := range []struct {
		parent, state string
		valid         bool
	}{
		{parent, "", true},
		{parent, "vendor=1", true},
		{parent, "no list", true}, // The state alone is lost.
		{"", "vendor=1", false},
		{"00-ab", "", false},
		{"00-00000000000000000000000000000000-b7ad6b7169203331-01", "", false},
	} {
		of := tracing.Parse(test.parent, test.state)
		if of.IsValid() != test.valid {
			t.Errorf("%q, %q: %v", test.parent, test.state, of)
		}
		if state := of.TraceState().String(); test.valid && state != "" && state != test.state {
			t.Errorf("%q: the state is %q", test.state, state)
		}
	}
}
