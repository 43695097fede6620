package tracing_test

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"example.com/tidings/client/tracing"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// A program that publishes with the generated stubs gives events the context of its span,
// and one that reads them finds it there.
func ExampleInject() {
	otel.SetTracerProvider(sdk.NewTracerProvider()) // With an exporter, in a program.
	defer otel.SetTracerProvider(noop.NewTracerProvider())

	ctx, span := otel.Tracer("shop").Start(context.Background(), "checkout")
	defer span.End()
	event := &tidingsv1.Event{Id: "1001-placed", Source: "/shop"}
	tracing.Inject(ctx, event)

	made := tracing.SpanContext(event)
	fmt.Println(made.TraceID() == span.SpanContext().TraceID())
	// Output: true
}
