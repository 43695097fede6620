package telemetry

import "github.com/prometheus/client_golang/prometheus"

// events counts what is published and read.
type events struct {
	published, duplicates, bytes, read *prometheus.CounterVec
	refused                            *prometheus.CounterVec
	appends                            prometheus.Histogram
	topics                             *names[string, *Topic]
	types                              *names[topicType, prometheus.Counter]
	refusals                           *names[refusal, prometheus.Counter]
}

type (
	topicType struct{ topic, event string }
	refusal   struct{ event, reason, rule string }
)

// Topic has the counters of a topic.
type Topic struct {
	// Read counts the events that Read and GetEvent gave.
	Read prometheus.Counter
	// Duplicates counts the events that were published again.
	Duplicates prometheus.Counter
	// Bytes counts the bytes of what was stored.
	Bytes prometheus.Counter

	events *events
	label  string
}

// Published returns what counts the stored events of a type.
func (t *Topic) Published(eventType string) prometheus.Counter {
	return t.events.types.of(topicType{t.label, eventType})
}

// Topic returns the counters of a topic.
func (m *Metrics) Topic(name string) *Topic { return m.events.topics.of(name) }

// EventRefused counts an event that was found to be wrong. The type is one that the
// schemas have, or Other; the rule is empty where the reason says it all.
func (m *Metrics) EventRefused(eventType, reason, rule string) {
	m.events.refusals.of(refusal{eventType, reason, rule}).Inc()
}

// Appended notes how long the storage took for a batch, in seconds.
func (m *Metrics) Appended(seconds float64) { m.events.appends.Observe(seconds) }

func newEvents() events {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	e := events{
		published:  counter("tidings_events_published_total", "Events that were stored, by topic and type.", "topic", "type"),
		duplicates: counter("tidings_events_duplicate_total", "Events that were published again, and not stored again.", "topic"),
		bytes:      counter("tidings_events_published_bytes_total", "Bytes of the events that were stored.", "topic"),
		read:       counter("tidings_events_read_total", "Events that Read and GetEvent gave.", "topic"),
		refused: counter("tidings_events_refused_total",
			"Events that were found to be wrong when they were published, by type, reason, and the validation rule that they broke.", "type", "reason", "rule"),
		appends: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "tidings_storage_append_duration_seconds",
			Help:    "How long the storage took from when it was given a batch of events until it was stored.",
			Buckets: latencies,
		}),
	}
	return e
}

// latencies are the bounds of the buckets of how long something takes, in seconds.
var latencies = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

func (e *events) register(registry *prometheus.Registry) {
	registry.MustRegister(e.published, e.duplicates, e.bytes, e.read, e.refused, e.appends)
	e.topics = &names[string, *Topic]{
		most: MaxNames,
		open: func(name string, other bool) *Topic {
			if other {
				name = Other
			}
			return &Topic{
				Read:       e.read.WithLabelValues(name),
				Duplicates: e.duplicates.WithLabelValues(name),
				Bytes:      e.bytes.WithLabelValues(name),
				events:     e, label: name,
			}
		},
		close: func(name string) {
			e.read.DeleteLabelValues(name)
			e.duplicates.DeleteLabelValues(name)
			e.bytes.DeleteLabelValues(name)
			e.types.forget(func(pair topicType) bool { return pair.topic == name })
		},
	}
	e.types = &names[topicType, prometheus.Counter]{
		most: MaxNames,
		open: func(pair topicType, other bool) prometheus.Counter {
			if other {
				pair = topicType{Other, Other}
			}
			return e.published.WithLabelValues(pair.topic, pair.event)
		},
		close: func(pair topicType) { e.published.DeleteLabelValues(pair.topic, pair.event) },
	}
	e.refusals = &names[refusal, prometheus.Counter]{
		most: MaxNames,
		open: func(r refusal, other bool) prometheus.Counter {
			if other {
				r = refusal{Other, Other, Other}
			}
			return e.refused.WithLabelValues(r.event, r.reason, r.rule)
		},
	}
}
