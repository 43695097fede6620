package telemetry_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"example.com/tidings/server/internal/telemetry"
)

func scrape(t *testing.T, m *telemetry.Metrics) string {
	t.Helper()
	response := httptest.NewRecorder()
	m.Handler().ServeHTTP(response, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	if response.Code != http.StatusOK {
		t.Fatalf("%d: %s", response.Code, response.Body)
	}
	return response.Body.String()
}

// sourcesOf are sources that tell nothing but a revision and the state of a storage.
func sourcesOf(revision func() string, status telemetry.Storage) telemetry.Sources {
	none := func() []string { return nil }
	return telemetry.Sources{
		SchemaRevision:     revision,
		Storage:            func() telemetry.Storage { return status },
		FilterFailures:     func() int64 { return 7 },
		Draining:           func() bool { return false },
		EventTypes:         func() int { return 2 },
		TopicNames:         none,
		SubscriptionNames:  none,
		SubscriptionStates: func(context.Context, []string) []telemetry.SubscriptionState { return nil },
		CertificateExpiry:  func() time.Time { return time.Unix(1_800_000_000, 0) },
	}
}

func newMetrics(revision func() string, status telemetry.Storage) *telemetry.Metrics {
	m := telemetry.New(telemetry.Config{Version: "1.2.3", Log: slog.New(slog.DiscardHandler)})
	m.Watch(sourcesOf(revision, status))
	return m
}

// The names are as Prometheus advises.
func TestNames(t *testing.T) {
	m := complete()
	problems, err := promlint.New(strings.NewReader(scrape(t, m))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		if strings.HasPrefix(problem.Metric, "tidings_") {
			t.Errorf("%s: %s", problem.Metric, problem.Text)
		}
	}
}

// The revision is that of the moment, and servers in one process don't share
// their metrics.
func TestScrape(t *testing.T) {
	revision := "a"
	m := newMetrics(func() string { return revision }, telemetry.Storage{})
	other := newMetrics(func() string { return "b" }, telemetry.Storage{})
	other.SchemaReload(telemetry.ReloadRefused)
	if text := scrape(t, m); !strings.Contains(text, `tidings_schema_info{revision="a"} 1`) || !strings.Contains(text, `outcome="refused"} 0`) ||
		!strings.Contains(text, "tidings_filter_failures_total 7\n") {
		t.Errorf("%s", text)
	}
	revision = "c"
	if text := scrape(t, m); !strings.Contains(text, `tidings_schema_info{revision="c"} 1`) || strings.Contains(text, `revision="a"`) {
		t.Errorf("%s", text)
	}
}

func TestStorage(t *testing.T) {
	revision := func() string { return "a" }
	local := scrape(t, newMetrics(revision, telemetry.Storage{StoredBytes: 1, MaxBytes: 2, FreeBytes: 3, ReserveBytes: 4, Full: true, Damages: 5, Losses: 6}))
	for _, want := range []string{
		"tidings_storage_bytes 1\n", "tidings_storage_max_bytes 2\n", "tidings_storage_free_bytes 3\n", "tidings_storage_reserve_bytes 4\n",
		"tidings_storage_full 1\n", "tidings_storage_damages_total 5\n", "tidings_storage_losses_total 6\n",
	} {
		if !strings.Contains(local, want) {
			t.Errorf("%q is missing:\n%s", want, local)
		}
	}
	cluster := scrape(t, newMetrics(revision, telemetry.Storage{Replicas: 3, NATSServers: []string{"n1"}}))
	for want, there := range map[string]bool{
		"tidings_storage_replicas 3\n": true, `tidings_nats_server_info{server="n1"} 1`: true, "tidings_storage_full 0\n": true, "tidings_storage_bytes": false,
	} {
		if strings.Contains(cluster, want) != there {
			t.Errorf("%q: %v is wrong:\n%s", want, !there, cluster)
		}
	}
}
