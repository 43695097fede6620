// Package telemetry holds the metrics of the server, in the form that Prometheus
// reads, and the access log, which has a line for each call.
//
// What a client can name gets a label of its own only up to a bound, MaxNames of
// each kind; all others share the label Other. So the number of series is bounded.
package telemetry

import (
	"log/slog"
	"net/http"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Config is what New needs. Every field but AccessLog is required.
type Config struct {
	// Version is that of the server.
	Version string
	Log     *slog.Logger
	// AccessLog gets a line for each call that has ended. nil: none is written.
	AccessLog *AccessLog
}

// Metrics are the metrics of one server. It is safe for concurrent use.
type Metrics struct {
	// A registry of our own: libraries add what they like to the global one.
	registry      *prometheus.Registry
	schemas       reloads
	access        reloads
	certificates  reloads
	calls         calls
	events        events
	subscriptions subscriptions
	connections   connections
	ready         prometheus.Gauge
	accessLog     *AccessLog
	log           *slog.Logger
}

// New returns the metrics of a server that has just begun. What it asks for when it
// is scraped comes with Watch.
func New(cfg Config) *Metrics {
	m := &Metrics{
		registry:      prometheus.NewRegistry(),
		schemas:       newReloads("schema", "the file of schemas", ReloadApplied, ReloadRefused, ReloadFailed),
		access:        newReloads("access", "the access file", ReloadApplied, ReloadRefused),
		certificates:  newReloads("tls", "the files of TLS", ReloadApplied, ReloadFailed),
		calls:         newCalls(),
		events:        newEvents(),
		subscriptions: newSubscriptions(),
		connections:   newConnections(),
		ready: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tidings_ready",
			Help: "Whether the server can do all of its work, as /readyz says it: 1 or 0.",
		}),
		accessLog: cfg.AccessLog,
		log:       cfg.Log,
	}
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		buildInfo(cfg.Version),
		serverTime(),
		m.schemas.total, m.schemas.last,
		m.access.total, m.access.last,
		m.certificates.total, m.certificates.last,
		m.ready,
	)
	m.calls.register(m.registry)
	m.events.register(m.registry)
	m.subscriptions.register(m.registry)
	m.connections.register(m.registry)
	if cfg.AccessLog != nil {
		m.registry.MustRegister(cfg.AccessLog.dropped)
	}
	return m
}

// Handler serves the metrics, in the format that the scraper asks for.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(m.log.Handler(), slog.LevelError),
	})
}

// Gatherer gives the metrics to what exports them in another form.
func (m *Metrics) Gatherer() prometheus.Gatherer { return m.registry }

// SetReady notes whether the server can do all of its work.
func (m *Metrics) SetReady(ready bool) { m.ready.Set(number(ready)) }

// number is 1 for true, and 0 for false.
func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// buildInfo is always 1: what it tells is in its labels.
func buildInfo(version string) prometheus.Collector {
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "tidings_build_info",
		Help:        "Always 1. The labels say the version of the server and the Go that built it.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	info.Set(1)
	return info
}
