package telemetry_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/tidings/server/internal/telemetry"
)

// complete are metrics in which everything has happened once.
func complete() *telemetry.Metrics {
	log := slog.New(slog.DiscardHandler)
	access := telemetry.NewAccessLog(new(strings.Builder), log)
	defer access.Close()
	m := telemetry.New(telemetry.Config{Version: "1.2.3", Log: log, AccessLog: access})
	status := telemetry.Storage{
		MaxBytes: 3, Full: true, Replicas: 3, NATSServers: []string{"n1"}, NATSConnections: map[string]bool{"reads": true},
		Store: &telemetry.Store{Syncs: telemetry.Histogram{Count: 1, Seconds: 1, Buckets: map[float64]uint64{1: 1}}},
	}
	sources := sourcesOf(func() string { return "a" }, status)
	sources.SubscriptionNames = func() []string { return []string{"billing"} }
	sources.TopicNames = func() []string { return []string{"orders"} }
	sources.SubscriptionStates = func(_ context.Context, names []string) (states []telemetry.SubscriptionState) {
		for _, name := range names {
			states = append(states, telemetry.SubscriptionState{Name: name, Backlog: 3})
		}
		return states
	}
	m.Watch(sources)
	m.FollowQuotas(func() telemetry.Quotas {
		return telemetry.Quotas{Refused: map[string]int64{"requests": 1}, Waited: map[string]time.Duration{"events": time.Second}}
	})
	m.Listener("http", 10, nil)
	use(m, "orders", "billing", "shop.orders.v1.OrderPlaced")
	call := m.Begin(telemetry.CallInfo{Procedure: "/a.B/C", Protocol: telemetry.ProtocolGRPC})
	call.Answered("EVENT_INVALID")
	call.End()
	return m
}

// use counts something of everything that has a name.
func use(m *telemetry.Metrics, topic, subscription, eventType string) {
	t := m.Topic(topic)
	t.Published(eventType).Inc()
	t.Duplicates.Inc()
	t.Bytes.Add(100)
	t.Read.Inc()
	m.EventRefused(eventType, "EVENT_INVALID", "string.email")
	s := m.Subscription(subscription)
	s.Delivered.Inc()
	s.DeadLettered("NACK", 1)
	s.DeadLettered("MAX_ATTEMPTS", 1)
	s.DeadLettered("DEADLINE", 1)
}

// seriesOf counts the series of the server's own metrics.
func seriesOf(text string) (count int) {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "tidings_") {
			count++
		}
	}
	return count
}

// maxSeries is the bound that docs/operations.md names.
const maxSeries = 20_000

// TestSeriesAreBounded has 10,000 topics, as many subscriptions and types, and
// clients that call what there isn't.
func TestSeriesAreBounded(t *testing.T) {
	const count = 10_000
	m := telemetry.New(telemetry.Config{Version: "1.2.3", Log: slog.New(slog.DiscardHandler)})
	names := make([]string, count)
	for i := range names {
		names[i] = fmt.Sprintf("n%05d", i)
	}
	all := func() []string { return slices.Clone(names) }
	sources := sourcesOf(func() string { return "a" }, telemetry.Storage{})
	sources.TopicNames, sources.SubscriptionNames = all, all
	sources.SubscriptionStates = func(_ context.Context, asked []string) (states []telemetry.SubscriptionState) {
		if len(asked) > telemetry.MaxNames {
			t.Errorf("%d subscriptions are asked for", len(asked))
		}
		for _, name := range asked {
			states = append(states, telemetry.SubscriptionState{Name: name})
		}
		return states
	}
	m.Watch(sources)
	for _, name := range names {
		use(m, name, name, name+".v1.Noted")
		call := m.Begin(telemetry.CallInfo{Procedure: "/" + name, Protocol: telemetry.ProtocolConnect})
		call.Fail("UNIMPLEMENTED", "")
		call.End()
	}
	first := scrape(t, m)
	t.Logf("%d series for %d topics, subscriptions and types", seriesOf(first), count)
	if got := seriesOf(first); got > maxSeries {
		t.Errorf("%d series", got)
	}
	for _, want := range []string{
		`tidings_events_read_total{topic="n00000"} 1` + "\n",
		`tidings_events_read_total{topic="_other"} 9500` + "\n",
		`tidings_events_published_total{topic="_other",type="_other"} 9500` + "\n",
		`tidings_events_delivered_total{subscription="_other"} 9500` + "\n",
		`tidings_events_refused_total{reason="_other",rule="_other",type="_other"} 9500` + "\n",
		"tidings_topics 10000\n",
	} {
		if !strings.Contains(first, want) {
			t.Errorf("%q is missing", want)
		}
	}
}

// TestNamesMakeRoom deletes topics and subscriptions: their series end, and others
// get their places.
func TestNamesMakeRoom(t *testing.T) {
	m := telemetry.New(telemetry.Config{Version: "1.2.3", Log: slog.New(slog.DiscardHandler)})
	for i := range telemetry.MaxNames {
		name := fmt.Sprintf("old-%d", i)
		use(m, name, name, "old.v1.Noted")
	}
	there := func() []string { return []string{"new"} }
	sources := sourcesOf(func() string { return "a" }, telemetry.Storage{})
	sources.TopicNames, sources.SubscriptionNames = there, there
	m.Watch(sources)
	scrape(t, m)
	use(m, "new", "new", "new.v1.Noted")
	text := scrape(t, m)
	if strings.Contains(text, `topic="old-`) || strings.Contains(text, `subscription="old-`) {
		t.Error("what was deleted is still there")
	}
	for _, want := range []string{
		`tidings_events_published_total{topic="new",type="new.v1.Noted"} 1` + "\n",
		`tidings_events_delivered_total{subscription="new"} 1` + "\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
}
