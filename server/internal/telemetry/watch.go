package telemetry

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Sources are asked when the metrics are scraped, also for several scrapes at a
// time. Every field but CertificateExpiry is required.
type Sources struct {
	// SchemaRevision returns the revision of the schemas in force.
	SchemaRevision func() string
	// Storage returns what is known of the storage.
	Storage func() Storage
	// FilterFailures returns how often an expression of a filter has failed on an
	// event.
	FilterFailures func() int64
	// Draining reports whether the server is about to stop.
	Draining func() bool
	// EventTypes returns how many event types there are.
	EventTypes func() int
	// TopicNames and SubscriptionNames return the names of all, in order.
	TopicNames, SubscriptionNames func() []string
	// SubscriptionStates returns what is known of subscriptions, as far as the
	// context lasts.
	SubscriptionStates func(ctx context.Context, names []string) []SubscriptionState
	// CertificateExpiry returns when the certificate of the server ends. nil:
	// there is none.
	CertificateExpiry func() time.Time
}

// Watch adds what is asked for when the metrics are scraped. It is called once.
func (m *Metrics) Watch(s Sources) {
	m.registry.MustRegister(
		schemaInfo{s.SchemaRevision},
		storage{s.Storage},
		filterFailures(s.FilterFailures),
		counted("tidings_topics", "The topics that there are.", func() int { return len(s.TopicNames()) }),
		counted("tidings_subscriptions", "The subscriptions that there are.", func() int { return len(s.SubscriptionNames()) }),
		counted("tidings_event_types", "The event types that the schemas in force have.", s.EventTypes),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "tidings_draining",
			Help: "Whether the server is about to stop: 1 or 0.",
		}, func() float64 { return number(s.Draining()) }),
		&subscriptionStates{metrics: m, sources: s},
	)
	if s.CertificateExpiry != nil {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "tidings_tls_certificate_expiry_timestamp_seconds",
			Help: "When the certificate of the server ends, in seconds since 1970.",
		}, func() float64 { return float64(s.CertificateExpiry().Unix()) }))
	}
}

func counted(name, help string, count func() int) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(count()) })
}

// filterFailures counts the events that a filter passes over because its
// expression fails on them, as on an entry of a map that isn't there.
func filterFailures(count func() int64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "tidings_filter_failures_total",
		Help: "How often an expression of a filter failed on an event, which then didn't match.",
	}, func() float64 { return float64(count()) })
}

// serverTime tells a clock that is wrong: Prometheus compares it with its own.
func serverTime() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "tidings_server_time_seconds",
		Help: "What the server's clock says, in seconds since 1970.",
	}, func() float64 { return float64(time.Now().UnixNano()) / 1e9 })
}
