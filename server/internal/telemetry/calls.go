package telemetry

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
)

// maxProcedures is more than the procedures of the server times the protocols.
const maxProcedures = 200

// The protocols of calls.
const (
	ProtocolGRPC     = "grpc"
	ProtocolGRPCWeb  = "grpc_web"
	ProtocolConnect  = "connect"
	ProtocolGRPCHTTP = "grpc_http" // gRPC to the HTTP port.
)

// codeOK is the code of a call without an error.
const codeOK = "OK"

// calls counts the calls.
type calls struct {
	total                       *prometheus.CounterVec
	duration                    *prometheus.HistogramVec
	requestBytes, responseBytes *prometheus.CounterVec
	inFlight                    *prometheus.GaugeVec
	streamErrors                *prometheus.CounterVec
	// procedures has what calls of a procedure by a protocol count with, found once.
	procedures *names[procedureProtocol, *procedureCalls]
}

type procedureProtocol struct {
	procedure, protocol string
	stream              bool
}

// procedureCalls is what the calls of a procedure by a protocol count with.
type procedureCalls struct {
	label                       string
	duration                    prometheus.Observer
	requestBytes, responseBytes prometheus.Counter
	inFlight                    prometheus.Gauge
	ok                          prometheus.Counter
}

// durations are the bounds of the buckets of how long a call takes, in seconds.
var durations = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60, 600, 3600}

func newCalls() calls {
	return calls{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tidings_rpcs_total", Help: "Calls that have ended, by procedure, protocol, status code, and the reason of the error.",
		}, []string{"procedure", "protocol", "code", "reason"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tidings_rpc_duration_seconds", Help: "How long calls took, unary ones or streams.", Buckets: durations,
		}, []string{"procedure", "kind"}),
		requestBytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tidings_rpc_request_bytes_total", Help: "Bytes of requests as they were sent, without headers.",
		}, []string{"procedure", "protocol"}),
		responseBytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tidings_rpc_response_bytes_total", Help: "Bytes of responses as they were sent, without headers.",
		}, []string{"procedure", "protocol"}),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tidings_rpcs_in_flight", Help: "Calls that have not ended, streams among them.",
		}, []string{"procedure", "protocol"}),
		streamErrors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tidings_rpc_stream_errors_total", Help: "Requests of a stream that were answered with an error, and the stream went on.",
		}, []string{"procedure", "reason"}),
	}
}

func (c *calls) register(registry *prometheus.Registry) {
	registry.MustRegister(c.total, c.duration, c.requestBytes, c.responseBytes, c.inFlight, c.streamErrors)
	c.procedures = &names[procedureProtocol, *procedureCalls]{
		most: maxProcedures,
		open: func(of procedureProtocol, other bool) *procedureCalls {
			if other {
				of.procedure = Other
			}
			kind := "unary"
			if of.stream {
				kind = "stream"
			}
			return &procedureCalls{
				label:         of.procedure,
				duration:      c.duration.WithLabelValues(of.procedure, kind),
				requestBytes:  c.requestBytes.WithLabelValues(of.procedure, of.protocol),
				responseBytes: c.responseBytes.WithLabelValues(of.procedure, of.protocol),
				inFlight:      c.inFlight.WithLabelValues(of.procedure, of.protocol),
				ok:            c.total.WithLabelValues(of.procedure, of.protocol, codeOK, ""),
			}
		},
	}
}

// Call is a call under way. Its methods may be called on nil, which notes nothing,
// and by several goroutines.
type Call struct {
	metrics   *Metrics
	of        procedureProtocol
	counters  *procedureCalls
	began     time.Time
	peer      fmt.Stringer
	principal atomic.Pointer[string]
	failure   atomic.Pointer[failure]
	traceID   atomic.Pointer[string]

	requestBytes, responseBytes, events atomic.Int64
}

// failure is how a call failed.
type failure struct{ code, reason string }

// CallInfo says of a call what is known when it begins.
type CallInfo struct {
	// Procedure is one of the server's, or Other.
	Procedure string
	Protocol  string
	Stream    bool
	// Peer is the address that the call came from. nil: it isn't known.
	Peer fmt.Stringer
}

// Begin notes that a call begins. End has to follow.
func (m *Metrics) Begin(info CallInfo) *Call {
	c := &Call{metrics: m, of: procedureProtocol{info.Procedure, info.Protocol, info.Stream}, peer: info.Peer, began: time.Now()}
	c.counters = m.calls.procedures.of(c.of)
	c.counters.inFlight.Inc()
	return c
}

type callKey struct{}

// NewContext returns a context that has the call.
func NewContext(ctx context.Context, c *Call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// CallFrom returns the call of a context, or nil.
func CallFrom(ctx context.Context) *Call {
	c, _ := ctx.Value(callKey{}).(*Call)
	return c
}

// SetPrincipal says who makes the call.
func (c *Call) SetPrincipal(name string) {
	if c != nil {
		c.principal.Store(&name)
	}
}

// SetTraceID says which trace the call belongs to, for the access log.
func (c *Call) SetTraceID(id trace.TraceID) {
	if c != nil && c.metrics.accessLog != nil {
		text := id.String()
		c.traceID.Store(&text)
	}
}

// Fail says what the call ends with: its status code and its reason in the
// catalogue, which may be empty. What is said last counts.
func (c *Call) Fail(code, reason string) {
	if c != nil {
		c.failure.Store(&failure{code, reason})
	}
}

// Failed reports whether Fail was called.
func (c *Call) Failed() bool { return c != nil && c.failure.Load() != nil }

// Answered counts an error that a stream was answered with, and that didn't end it.
func (c *Call) Answered(reason string) {
	if c != nil {
		c.metrics.calls.streamErrors.WithLabelValues(c.counters.label, reason).Inc()
	}
}

// Received adds to the bytes of the request, and Sent to those of the response.
func (c *Call) Received(bytes int) {
	if c != nil {
		c.requestBytes.Add(int64(bytes))
		c.counters.requestBytes.Add(float64(bytes))
	}
}

// Sent adds to the bytes of the response.
func (c *Call) Sent(bytes int) {
	if c != nil {
		c.responseBytes.Add(int64(bytes))
		c.counters.responseBytes.Add(float64(bytes))
	}
}

// AddEvents adds to the events that the call published, got or settled.
func (c *Call) AddEvents(count int) {
	if c != nil {
		c.events.Add(int64(count))
	}
}

// End notes that the call has ended.
func (c *Call) End() {
	took := time.Since(c.began)
	c.counters.inFlight.Dec()
	c.counters.duration.Observe(took.Seconds())
	if f := c.failure.Load(); f == nil {
		c.counters.ok.Inc()
	} else {
		c.metrics.calls.total.WithLabelValues(c.counters.label, c.of.protocol, f.code, f.reason).Inc()
	}
	if log := c.metrics.accessLog; log != nil {
		log.write(c, took)
	}
}
