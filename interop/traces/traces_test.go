package traces

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"example.com/tidings/client"
	"example.com/tidings/client/tracing"
	conformancev1 "example.com/tidings/conformance/gen/go/tidings/conformance/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/interop/internal/process"
)

const topic, subscription = "every-kind", "billing"

// TestOneTrace publishes an event in Go, and handles it in Python, each with its own SDK
// of OpenTelemetry. What arrives at a collector from both and from the server is of one
// trace. TIDINGS_PYTHON is the Python with what interop/python requires.
func TestOneTrace(t *testing.T) {
	python := os.Getenv("TIDINGS_PYTHON")
	if python == "" {
		t.Skip("TIDINGS_PYTHON isn't set: make interop-traces sets it")
	}
	spans, endpoint := collect(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	t.Setenv("OTEL_METRICS_EXPORTER", "none")
	t.Setenv("OTEL_TRACES_SAMPLER", "parentbased_always_on")
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	server, err := process.StartServer(t.Context(), root, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(server.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }() // The server ends anyway.
	produce(t, conn)

	var said bytes.Buffer
	consumer := exec.CommandContext(t.Context(), python, "traced.py") //nolint:gosec // Who runs the test says which Python.
	consumer.Dir = "../python"
	consumer.Env = append(os.Environ(), "TIDINGS_GRPC="+server.GRPC, "TIDINGS_SUBSCRIPTION="+subscription, "OTEL_SERVICE_NAME=billing")
	consumer.Stdout, consumer.Stderr = &said, &said
	if err := consumer.Run(); err != nil {
		t.Fatalf("the consumer: %v\n%s", err, &said)
	}
	if err := server.Stop(); err != nil { // It sends what is left.
		t.Error(err)
	}
	check(t, spans)
}

// produce publishes an event in a span of a program, whose service is shop.
func produce(t *testing.T, conn *grpc.ClientConn) {
	t.Helper()
	exporter, err := otlptracegrpc.New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(resource.NewSchemaless(semconv.ServiceName("shop"))))
	if _, err := tidingsv1.NewSubscriptionServiceClient(conn).CreateSubscription(t.Context(), &tidingsv1.CreateSubscriptionRequest{
		Subscription: &tidingsv1.Subscription{Name: subscription, Topic: topic},
	}); err != nil {
		t.Fatal(err)
	}
	ctx, checkout := provider.Tracer("shop").Start(t.Context(), "checkout")
	publisher := client.New(conn).Publisher(client.PublisherOptions{Tracer: tracing.New(provider)})
	event, err := client.NewEvent("/shop", &conformancev1.EveryKind{Name: "traced", Email: "ada@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := publisher.Publish(ctx, event); err != nil {
		t.Fatal(err)
	}
	checkout.End()
	if err := publisher.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := provider.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// check wants the spans of the trace, and shows all that came.
func check(t *testing.T, spans *spans) {
	t.Helper()
	checkout := spans.find(t, "the program's span", func(s span) bool { return s.is("shop", "checkout", "INTERNAL") })
	sent := spans.find(t, "the producer's span", func(s span) bool { return s.is("shop", "send "+topic, "PRODUCER") })
	stored := spans.find(t, "the server's span of the batch", func(s span) bool { return s.is("tidings", "send "+topic, "SERVER") })
	received := spans.find(t, "the server's span of the delivery", func(s span) bool { return s.is("tidings", "receive "+topic, "SERVER") })
	handled := spans.find(t, "the consumer's span", func(s span) bool { return s.is("billing", "process "+topic, "CONSUMER") })
	settled := spans.find(t, "the server's span of the settlement", func(s span) bool { return s.is("tidings", "settle "+topic, "SERVER") })
	t.Logf("the spans that arrived:\n%s", spans)

	for name, one := range map[string]struct{ of, parent span }{
		"send in Go":           {sent, checkout},
		"send of the server":   {stored, sent},
		"process in Python":    {handled, sent},
		"settle of the server": {settled, sent},
	} {
		if !bytes.Equal(one.of.GetTraceId(), checkout.GetTraceId()) || !bytes.Equal(one.of.GetParentSpanId(), one.parent.GetSpanId()) {
			t.Errorf("%s: %s, want the parent %s", name, one.of, one.parent)
		}
	}
	for _, one := range []span{received, handled} {
		if links := one.GetLinks(); len(links) != 1 || !bytes.Equal(links[0].GetSpanId(), sent.GetSpanId()) {
			t.Errorf("%s isn't linked to %s", one, sent)
		}
	}
	for _, one := range []span{sent, stored, received, handled, settled} {
		if one.attribute("messaging.system") != "tidings" || one.attribute("messaging.destination.name") != topic {
			t.Errorf("the attributes of %s are %v", one, one.GetAttributes())
		}
	}
}
