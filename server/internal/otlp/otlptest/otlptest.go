// Package otlptest is an OpenTelemetry collector for tests: it keeps what it gets, over
// gRPC and over HTTP.
package otlptest

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"

	metrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	traces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"example.com/tidings/server/internal/guard"
)

// Span is a span that arrived.
type Span struct {
	*trace.Span

	// Resource are the attributes of what sent it.
	Resource map[string]string
}

// Text returns attributes as texts.
func Text(attributes []*common.KeyValue) map[string]string {
	texts := make(map[string]string)
	for _, a := range attributes {
		switch value := a.GetValue().GetValue().(type) {
		case *common.AnyValue_StringValue:
			texts[a.GetKey()] = value.StringValue
		default:
			texts[a.GetKey()] = a.GetValue().String()
		}
	}
	return texts
}

// Collector is a collector.
type Collector struct {
	// GRPC and HTTP are the values of OTEL_EXPORTER_OTLP_ENDPOINT.
	GRPC, HTTP string

	mu      sync.Mutex
	spans   []Span
	metrics map[string]bool
	came    chan struct{} // Closed when something has come, and another then.
}

// Start starts a collector on loopback, until the test ends.
func Start(tb testing.TB) *Collector {
	tb.Helper()
	c := &Collector{metrics: make(map[string]bool), came: make(chan struct{})}
	var ended guard.Group
	serve := func(serve func(net.Listener) error) string {
		listener, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			tb.Fatal(err)
		}
		ended.Go(func() error { return serve(listener) }, func(error) {}) // It ends with the test.
		return "http://" + listener.Addr().String()
	}
	grpcServer := grpc.NewServer()
	traces.RegisterTraceServiceServer(grpcServer, &traceService{of: c})
	metrics.RegisterMetricsServiceServer(grpcServer, &metricsService{of: c})
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", receive(func(r *traces.ExportTraceServiceRequest) { c.takeSpans(r) }))
	mux.HandleFunc("POST /v1/metrics", receive(func(r *metrics.ExportMetricsServiceRequest) { c.takeMetrics(r) }))
	httpServer := &http.Server{Handler: mux} //nolint:gosec // It is for one client, in this process.
	c.GRPC, c.HTTP = serve(grpcServer.Serve), serve(httpServer.Serve)
	tb.Cleanup(func() {
		grpcServer.Stop()
		_ = httpServer.Close()
		ended.Wait()
	})
	return c
}

// Spans returns what has come, in its order.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Span(nil), c.spans...)
}

// Has reports whether a metric has come.
func (c *Collector) Has(metric string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.metrics[metric]
}

// Wait waits until a condition holds, which is asked whenever something has come.
func (c *Collector) Wait(ctx context.Context, condition func() bool) error {
	for {
		c.mu.Lock()
		came := c.came
		c.mu.Unlock()
		if condition() {
			return nil
		}
		select {
		case <-came:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (c *Collector) take(add func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	add()
	close(c.came)
	c.came = make(chan struct{})
}

func (c *Collector) takeSpans(request *traces.ExportTraceServiceRequest) {
	c.take(func() {
		for _, of := range request.GetResourceSpans() {
			for _, scope := range of.GetScopeSpans() {
				for _, span := range scope.GetSpans() {
					c.spans = append(c.spans, Span{span, Text(of.GetResource().GetAttributes())})
				}
			}
		}
	})
}

func (c *Collector) takeMetrics(request *metrics.ExportMetricsServiceRequest) {
	c.take(func() {
		for _, of := range request.GetResourceMetrics() {
			for _, scope := range of.GetScopeMetrics() {
				for _, metric := range scope.GetMetrics() {
					c.metrics[metric.GetName()] = true
				}
			}
		}
	})
}

type traceService struct {
	traces.UnimplementedTraceServiceServer

	of *Collector
}

func (s *traceService) Export(_ context.Context, request *traces.ExportTraceServiceRequest) (*traces.ExportTraceServiceResponse, error) {
	s.of.takeSpans(request)
	return new(traces.ExportTraceServiceResponse), nil
}

type metricsService struct {
	metrics.UnimplementedMetricsServiceServer

	of *Collector
}

func (s *metricsService) Export(_ context.Context, request *metrics.ExportMetricsServiceRequest) (*metrics.ExportMetricsServiceResponse, error) {
	s.of.takeMetrics(request)
	return new(metrics.ExportMetricsServiceResponse), nil
}

// receive makes a handler of OTLP over HTTP. The response is an empty message.
func receive[T any, Request interface {
	*T
	proto.Message
}](take func(Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		request := Request(new(T))
		if err == nil {
			err = proto.Unmarshal(body, request)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		take(request)
		w.Header().Set("Content-Type", "application/x-protobuf")
	}
}
