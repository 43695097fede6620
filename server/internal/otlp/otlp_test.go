package otlp_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"example.com/tidings/server/internal/otlp"
	"example.com/tidings/server/internal/otlp/otlptest"
)

// variables are those that a test may find set.
var variables = []string{
	"OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_TRACES_SAMPLER", "OTEL_SERVICE_NAME",
	"OTEL_RESOURCE_ATTRIBUTES", "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
	"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
}

func setenv(t *testing.T, values ...string) {
	t.Helper()
	for _, variable := range variables {
		t.Setenv(variable, "")
	}
	for pair := range slices.Chunk(values, 2) {
		t.Setenv(pair[0], pair[1])
	}
}

// start starts an exporter with a metric, tidings_test.
func start(t *testing.T, log *slog.Logger) *otlp.Exporter {
	t.Helper()
	exporter, err := otlp.Start(t.Context(), "1.2.3", log)
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "tidings_test", Help: "A test."}))
	if err := exporter.SendMetrics(t.Context(), registry); err != nil {
		t.Fatal(err)
	}
	return exporter
}

// TestSends sends a span and a metric over each protocol, and what is left when it ends.
func TestSends(t *testing.T) {
	for _, protocol := range []string{"grpc", "http/protobuf", ""} {
		t.Run(protocol, func(t *testing.T) {
			collector := otlptest.Start(t)
			endpoint := collector.HTTP
			if protocol == "grpc" {
				endpoint = collector.GRPC
			}
			setenv(t, "OTEL_EXPORTER_OTLP_ENDPOINT", endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL", protocol, "OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
			exporter := start(t, slog.New(slog.DiscardHandler))
			_, span := exporter.Traces().Tracer("test").Start(t.Context(), "span")
			span.End()
			exporter.Close()
			spans := collector.Spans()
			if len(spans) != 1 || spans[0].GetName() != "span" {
				t.Fatalf("%v came", spans)
			}
			for name, want := range map[string]string{"service.name": "tidings", "service.version": "1.2.3", "deployment.environment.name": "test"} {
				if got := spans[0].Resource[name]; got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			if !collector.Has("tidings_test") {
				t.Error("the metric didn't come")
			}
		})
	}
}

// TestOff wants nothing to be sent that isn't asked for.
func TestOff(t *testing.T) {
	for name, values := range map[string][]string{
		"nothing is set": nil,
		"none":           {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER", "none"},
		"disabled":       {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1", "OTEL_SDK_DISABLED", "true"},
		"metrics alone":  {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			setenv(t, values...)
			exporter, err := otlp.Start(t.Context(), "1.2.3", slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			defer exporter.Close()
			if traces := exporter.Traces(); traces != nil {
				t.Errorf("%v makes spans", traces)
			}
		})
	}
}

func TestBadSettings(t *testing.T) {
	for variable, value := range map[string]string{
		"OTEL_EXPORTER_OTLP_PROTOCOL":        "http/json",
		"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "udp",
		"OTEL_TRACES_EXPORTER":               "zipkin",
		"OTEL_METRICS_EXPORTER":              "prometheus",
		"OTEL_RESOURCE_ATTRIBUTES":           "novalue",
	} {
		t.Run(variable, func(t *testing.T) {
			setenv(t, "OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1", variable, value)
			_, err := otlp.Start(t.Context(), "1.2.3", slog.New(slog.DiscardHandler))
			if wrong, ok := errors.AsType[*otlp.SettingError](err); !ok || wrong.Variable != variable || wrong.ExitStatus() != 2 {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestUnreachable fills the queue many times over for a collector that isn't there. That
// neither waits nor is logged more than once for each signal, and ending is bounded.
func TestUnreachable(t *testing.T) {
	for _, protocol := range []string{"grpc", "http/protobuf"} {
		t.Run(protocol, func(t *testing.T) {
			// What listens and never answers is worse than what refuses.
			silent, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = silent.Close() }() // It has done its part.
			setenv(t, "OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+silent.Addr().String(), "OTEL_EXPORTER_OTLP_PROTOCOL", protocol,
				"OTEL_EXPORTER_OTLP_TIMEOUT", "100", "OTEL_BSP_SCHEDULE_DELAY", "10", "OTEL_BSP_EXPORT_TIMEOUT", "200",
				"OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20topsecret")
			var log safeBuffer
			exporter := start(t, slog.New(slog.NewTextHandler(&log, nil)))
			tracer := exporter.Traces().Tracer("test")
			for range 100_000 { // The queue has room for 2,048.
				_, span := tracer.Start(t.Context(), "span")
				span.End()
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			for !strings.Contains(log.String(), "traces can't be sent") {
				select {
				case <-ctx.Done():
					t.Fatalf("nothing was logged: %s", log.String())
				case <-time.After(10 * time.Millisecond):
				}
				_, span := tracer.Start(ctx, "span")
				span.End()
			}
			exporter.Close()
			said := log.String()
			if n := strings.Count(said, "traces can't be sent"); n != 1 {
				t.Errorf("it was said %d times:\n%s", n, said)
			}
			if strings.Contains(said, "topsecret") {
				t.Errorf("a secret was logged:\n%s", said)
			}
		})
	}
}

type safeBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
