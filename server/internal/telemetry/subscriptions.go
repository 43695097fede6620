package telemetry

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Outcome is what became of a delivery.
type Outcome string

// The values of Outcome.
const (
	// OutcomeAcked to OutcomeReleased are the settlements that were applied.
	OutcomeAcked    Outcome = "acked"
	OutcomeRetried  Outcome = "retried"
	OutcomeDropped  Outcome = "dropped"
	OutcomeBuried   Outcome = "buried"
	OutcomeReleased Outcome = "released"
	// OutcomeExpired says that nobody settled it in time.
	OutcomeExpired Outcome = "expired"
	// OutcomeLost says of a settlement that it came too late.
	OutcomeLost Outcome = "lost"
)

// outcomes are all values of Outcome.
var outcomes = []Outcome{OutcomeAcked, OutcomeRetried, OutcomeDropped, OutcomeBuried, OutcomeReleased, OutcomeExpired, OutcomeLost}

// Subscription has the counters of a subscription.
type Subscription struct {
	// Delivered counts deliveries, and Redelivered those that weren't the first of
	// their event.
	Delivered, Redelivered prometheus.Counter
	// Settled counts what became of deliveries.
	Settled map[Outcome]prometheus.Counter

	subscriptions *subscriptions
	label         string
}

// DeadLettered counts events that became dead letters by a cause.
func (s *Subscription) DeadLettered(cause string, count int) {
	s.subscriptions.deadLettered.WithLabelValues(s.label, cause).Add(float64(count))
}

// Subscription returns the counters of a subscription.
func (m *Metrics) Subscription(name string) *Subscription { return m.subscriptions.names.of(name) }

// subscriptions counts what is delivered.
type subscriptions struct {
	delivered, redelivered, settled, deadLettered *prometheus.CounterVec
	names                                         *names[string, *Subscription]
}

func newSubscriptions() subscriptions {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	return subscriptions{
		delivered:   counter("tidings_events_delivered_total", "Deliveries of events to consumers, by the server that owns the subscription.", "subscription"),
		redelivered: counter("tidings_events_redelivered_total", "Deliveries that weren't the first of their event.", "subscription"),
		settled: counter("tidings_deliveries_settled_total",
			"What became of deliveries: acked, retried, dropped, buried, released, expired, or lost where the settlement came too late.", "subscription", "outcome"),
		deadLettered: counter("tidings_events_dead_lettered_total", "Events that became dead letters, by cause.", "subscription", "cause"),
	}
}

func (s *subscriptions) register(registry *prometheus.Registry) {
	registry.MustRegister(s.delivered, s.redelivered, s.settled, s.deadLettered)
	s.names = &names[string, *Subscription]{
		most: MaxNames,
		open: func(name string, other bool) *Subscription {
			if other {
				name = Other
			}
			opened := &Subscription{
				Delivered: s.delivered.WithLabelValues(name), Redelivered: s.redelivered.WithLabelValues(name),
				Settled:       make(map[Outcome]prometheus.Counter, len(outcomes)),
				subscriptions: s, label: name,
			}
			for _, outcome := range outcomes {
				opened.Settled[outcome] = s.settled.WithLabelValues(name, string(outcome))
			}
			return opened
		},
		close: func(name string) {
			labels := prometheus.Labels{"subscription": name}
			for _, vector := range []*prometheus.CounterVec{s.delivered, s.redelivered, s.settled, s.deadLettered} {
				vector.DeletePartialMatch(labels)
			}
		},
	}
}

// SubscriptionState is what is known of a subscription.
type SubscriptionState struct {
	Name string
	// Backlog is how many events have not been delivered yet.
	Backlog int64
	// Oldest is when the oldest event that isn't settled was published. Zero: all
	// are settled.
	Oldest time.Time
	// InFlight, Retrying and Blocked are the events that consumers hold, that wait
	// to be delivered again, and that wait for an earlier one of their key.
	InFlight, Retrying, Blocked int64
	DeadLetters                 int64
	Consumers                   int64
}

// statesTimeout bounds, together, what a scrape waits for subscriptions, and
// statesAge how old what another scrape found out may be.
const (
	statesTimeout = 3 * time.Second
	statesAge     = time.Second
)

// subscriptionStates asks for the state of the subscriptions with a label of their
// own when it is scraped.
type subscriptionStates struct {
	metrics *Metrics
	sources Sources

	mu    sync.Mutex // Held while asking: scrapes at a time ask once.
	asked time.Time
	last  []SubscriptionState
}

func subscriptionGauge(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("tidings_subscription_"+name, help, []string{"subscription"}, nil)
}

var (
	backlogEvents    = subscriptionGauge("backlog_events", "Events that have not been delivered yet.")
	oldestAge        = subscriptionGauge("oldest_unsettled_age_seconds", "How long ago the oldest event that isn't settled was published. 0: all are settled.")
	inFlightEvents   = subscriptionGauge("in_flight_events", "Events that consumers hold.")
	retryingEvents   = subscriptionGauge("retrying_events", "Events that wait to be delivered again.")
	blockedEvents    = subscriptionGauge("blocked_events", "Events that wait for an earlier one of their key.")
	deadLetterEvents = subscriptionGauge("dead_letters", "Events that are dead letters.")
	consumers        = subscriptionGauge("consumers", "Streams of consumers.")
)

// Describe implements prometheus.Collector.
func (*subscriptionStates) Describe(descs chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{backlogEvents, oldestAge, inFlightEvents, retryingEvents, blockedEvents, deadLetterEvents, consumers} {
		descs <- desc
	}
}

// Collect implements prometheus.Collector.
func (s *subscriptionStates) Collect(metrics chan<- prometheus.Metric) {
	for _, state := range s.states() {
		gauge := func(desc *prometheus.Desc, value float64) {
			metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, state.Name)
		}
		gauge(backlogEvents, float64(state.Backlog))
		age := 0.0
		if !state.Oldest.IsZero() {
			age = max(time.Since(state.Oldest).Seconds(), 0)
		}
		gauge(oldestAge, age)
		gauge(inFlightEvents, float64(state.InFlight))
		gauge(retryingEvents, float64(state.Retrying))
		gauge(blockedEvents, float64(state.Blocked))
		gauge(deadLetterEvents, float64(state.DeadLetters))
		gauge(consumers, float64(state.Consumers))
	}
}

// states asks, unless another scrape has just done so.
func (s *subscriptionStates) states() []SubscriptionState {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.asked) < statesAge {
		return s.last
	}
	s.metrics.events.topics.keep(s.sources.TopicNames())
	names := s.sources.SubscriptionNames()
	own := s.metrics.subscriptions.names
	own.keep(names)
	ctx, cancel := context.WithTimeout(context.Background(), statesTimeout)
	defer cancel()
	s.last = s.sources.SubscriptionStates(ctx, slices.DeleteFunc(names, func(name string) bool { return !own.own(name) }))
	s.asked = time.Now()
	return s.last
}
