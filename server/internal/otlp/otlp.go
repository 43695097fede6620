// Package otlp sends traces and metrics to an OpenTelemetry collector, as the
// environment variables that OpenTelemetry defines for all programs say. Without them
// nothing is sent, and nothing is recorded.
package otlp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	bridge "go.opentelemetry.io/contrib/bridges/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// flushTimeout is how long what is recorded may take to be sent when the server ends.
const flushTimeout = 5 * time.Second

// SettingError says that a variable has a value that it can't have.
type SettingError struct {
	// Variable is its name.
	Variable string
	// Problem is what is wrong with it.
	Problem string
}

func (e *SettingError) Error() string { return e.Variable + ": " + e.Problem }

// ExitStatus is that of wrong usage.
func (e *SettingError) ExitStatus() int { return 2 }

// Exporter sends traces and metrics.
type Exporter struct {
	described   *resource.Resource
	traces      *sdk.TracerProvider   // nil: none are sent.
	metrics     *metric.MeterProvider // nil: none are sent.
	metricsOver string                // Empty: they aren't to be sent.
	log         *slog.Logger
}

// Start begins to send the traces of a server of some version, where the environment says
// so. A collector that can't be reached is no error: what it misses is dropped. It returns
// a *SettingError for a variable with a value that isn't known.
func Start(ctx context.Context, version string, log *slog.Logger) (*Exporter, error) {
	tracesOver, err := wanted("TRACES")
	if err != nil {
		return nil, err
	}
	metricsOver, err := wanted("METRICS")
	if err != nil {
		return nil, err
	}
	e := &Exporter{metricsOver: metricsOver, log: log}
	if tracesOver == "" && metricsOver == "" {
		return e, nil
	}
	otel.SetErrorHandler(once(log)) // Of the SDK, which has one for the process.
	if e.described, err = describe(ctx, version); err != nil || tracesOver == "" {
		return e, err
	}
	exporter, err := newSpans(ctx, tracesOver)
	if err != nil {
		return nil, fmt.Errorf("export of traces: %w", err)
	}
	// The SDK reads OTEL_TRACES_SAMPLER, OTEL_BSP_* and the limits of spans.
	e.traces = sdk.NewTracerProvider(sdk.WithResource(e.described), sdk.WithBatcher(&spans{exporter, outage{what: "traces", log: log}}))
	log.InfoContext(ctx, "traces are sent", "protocol", tracesOver)
	return e, nil
}

// SendMetrics begins to send metrics, where the environment says so.
func (e *Exporter) SendMetrics(ctx context.Context, metrics prometheus.Gatherer) error {
	if e.metricsOver == "" {
		return nil
	}
	exporter, err := newMetrics(ctx, e.metricsOver)
	if err != nil {
		return fmt.Errorf("export of metrics: %w", err)
	}
	reader := metric.NewPeriodicReader(&points{exporter, outage{what: "metrics", log: e.log}},
		metric.WithProducer(bridge.NewMetricProducer(bridge.WithGatherer(metrics))))
	e.metrics = metric.NewMeterProvider(metric.WithResource(e.described), metric.WithReader(reader))
	e.log.InfoContext(ctx, "metrics are sent", "protocol", e.metricsOver)
	return nil
}

// Traces returns what makes spans. nil: nothing does.
func (e *Exporter) Traces() trace.TracerProvider {
	if e.traces == nil { // Not an interface of nothing.
		return nil
	}
	return e.traces
}

// Close sends what is left, for flushTimeout at most.
func (e *Exporter) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	var err error
	if e.traces != nil {
		err = e.traces.Shutdown(ctx)
	}
	if e.metrics != nil {
		err = errors.Join(err, e.metrics.Shutdown(ctx))
	}
	if err != nil {
		otel.Handle(err)
	}
}

// describe says what sends: OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES have the last
// word.
func describe(ctx context.Context, version string) (*resource.Resource, error) {
	described, err := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithHost(),
		resource.WithAttributes(semconv.ServiceName("tidings"), semconv.ServiceVersion(version)),
		resource.WithFromEnv())
	if err != nil {
		return nil, &SettingError{"OTEL_RESOURCE_ATTRIBUTES", err.Error()}
	}
	return described, nil
}

// The values of OTEL_EXPORTER_OTLP_PROTOCOL.
const (
	overGRPC = "grpc"
	overHTTP = "http/protobuf"
)

// wanted returns the protocol by which a signal, TRACES or METRICS, is sent. Empty: it
// isn't. An endpoint or the name of an exporter asks for it: a server that nobody
// configured asks no port of its machine for a collector, as OpenTelemetry's default would.
func wanted(signal string) (protocol string, err error) {
	named := "OTEL_" + signal + "_EXPORTER"
	switch name := os.Getenv(named); {
	case strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true"), name == "none":
		return "", nil
	case name == "" && first("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT") == "":
		return "", nil
	case name != "" && name != "otlp":
		return "", &SettingError{named, fmt.Sprintf("%q is not otlp or none", name)}
	}
	own, common := "OTEL_EXPORTER_OTLP_"+signal+"_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"
	switch protocol = first(own, common); protocol {
	case "":
		return overHTTP, nil
	case overGRPC, overHTTP:
		return protocol, nil
	}
	if os.Getenv(own) == "" {
		own = common
	}
	return "", &SettingError{own, fmt.Sprintf("%q is not %s or %s", protocol, overGRPC, overHTTP)}
}

// first returns the value of the first variable that has one.
func first(variables ...string) string {
	for _, variable := range variables {
		if value := os.Getenv(variable); value != "" {
			return value
		}
	}
	return ""
}

func newSpans(ctx context.Context, protocol string) (sdk.SpanExporter, error) {
	if protocol == overGRPC {
		return otlptracegrpc.New(ctx)
	}
	return otlptracehttp.New(ctx)
}

func newMetrics(ctx context.Context, protocol string) (metric.Exporter, error) {
	if protocol == overGRPC {
		return otlpmetricgrpc.New(ctx)
	}
	return otlpmetrichttp.New(ctx)
}
