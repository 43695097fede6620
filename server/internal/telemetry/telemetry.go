// Package telemetry holds the metrics of the server, in the form that Prometheus
// reads.
package telemetry

import (
	"log/slog"
	"net/http"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Config is what New needs. Every field is required.
type Config struct {
	// Version is that of the server.
	Version string
	// SchemaRevision returns the revision of the schemas in force. It is called
	// for each scrape, also by several at a time.
	SchemaRevision func() string
	// Storage returns what is known of the storage. It is called for each scrape,
	// also by several at a time.
	Storage func() Storage
	// FilterFailures returns how often an expression of a filter has failed on an
	// event. It is called as Storage is.
	FilterFailures func() int64
	Log            *slog.Logger
}

// Metrics are the metrics of one server. It is safe for concurrent use.
type Metrics struct {
	// A registry of our own: libraries add what they like to the global one.
	registry *prometheus.Registry
	schemas  reloads
	access   reloads
	log      *slog.Logger
}

// New returns the metrics of a server that has just begun.
func New(cfg Config) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		schemas:  newReloads("schema", "the file of schemas", ReloadApplied, ReloadRefused, ReloadFailed),
		access:   newReloads("access", "the access file", ReloadApplied, ReloadRefused),
		log:      cfg.Log,
	}
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		buildInfo(cfg.Version),
		schemaInfo{cfg.SchemaRevision},
		storage{cfg.Storage},
		filterFailures(cfg.FilterFailures),
		m.schemas.total, m.schemas.last,
		m.access.total, m.access.last,
	)
	return m
}

// Handler serves the metrics, in the format that the scraper asks for.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(m.log.Handler(), slog.LevelError),
	})
}

// filterFailures counts the events that a filter passes over because its
// expression fails on them, as on an entry of a map that isn't there.
func filterFailures(count func() int64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "tidings_filter_failures_total",
		Help: "How often an expression of a filter failed on an event, which then didn't match.",
	}, func() float64 { return float64(count()) })
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
