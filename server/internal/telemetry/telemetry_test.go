package telemetry_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

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

// The names are as Prometheus advises.
func TestNames(t *testing.T) {
	m := telemetry.New(telemetry.Config{Version: "1.2.3", SchemaRevision: func() string { return "a" }, Log: slog.New(slog.DiscardHandler)})
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
	m := telemetry.New(telemetry.Config{Version: "1.2.3", SchemaRevision: func() string { return revision }, Log: slog.New(slog.DiscardHandler)})
	other := telemetry.New(telemetry.Config{Version: "1.2.3", SchemaRevision: func() string { return "b" }, Log: slog.New(slog.DiscardHandler)})
	other.SchemaReload(telemetry.ReloadRefused)
	if text := scrape(t, m); !strings.Contains(text, `tidings_schema_info{revision="a"} 1`) || !strings.Contains(text, `outcome="refused"} 0`) {
		t.Errorf("%s", text)
	}
	revision = "c"
	if text := scrape(t, m); !strings.Contains(text, `tidings_schema_info{revision="c"} 1`) || strings.Contains(text, `revision="a"`) {
		t.Errorf("%s", text)
	}
}
