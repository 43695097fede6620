package alerttest

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"example.com/tidings/internal/testserver"
)

// patience bounds each wait. It is far more than any takes.
const patience = 2 * time.Minute

// until waits for a condition, which is looked at several times a second.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// prometheus is a Prometheus that scrapes servers.
type prometheus struct {
	t       *testing.T
	address string
	targets string // The file of its targets.
}

// hurry rewrites the rules so that they fire and end within seconds: what they wait
// for, the time that they look back, and thresholds that take long to reach.
func hurry(rules string) string {
	rules = regexp.MustCompile(`(?m)^ {4}for: \S+$`).ReplaceAllString(rules, "    for: 1s")
	rules = regexp.MustCompile(`\[\d+m\]`).ReplaceAllString(rules, "[6s]")
	return strings.NewReplacer("> 900\n", "> 3\n", "> 10000\n", "> 50\n", "> 1000\n", "> 3\n").Replace(rules)
}

// startPrometheus starts Prometheus with the rules. token is the credential for the
// targets over HTTPS.
func startPrometheus(t *testing.T, token string) *prometheus {
	t.Helper()
	dir := t.TempDir()
	p := &prometheus{t: t, targets: filepath.Join(dir, "targets.json")}
	config := fmt.Sprintf(`
global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}
rule_files: [alerts.yaml]
scrape_configs:
- job_name: tidings
  tls_config: {insecure_skip_verify: true}
  authorization: {credentials: %q}
  file_sd_configs: [{files: [targets.json], refresh_interval: 1s}]
`, token)
	for name, content := range map[string]string{"prometheus.yaml": config, "alerts.yaml": hurry(read(t, "alerts.yaml")), "targets.json": "[]"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Prometheus can't be given port 0.
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.address = listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	process, err := testserver.Start(exec.CommandContext(context.WithoutCancel(t.Context()), need(t, "prometheus"),
		"--config.file="+filepath.Join(dir, "prometheus.yaml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+p.address))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := process.Kill(); err != nil {
			t.Error(err)
		}
	})
	err = process.Await(t.Context(), patience, func() (bool, error) {
		response, err := http.Get("http://" + p.address + "/-/ready") //nolint:noctx // It has its time.
		if err != nil {
			return false, nil //nolint:nilerr // It isn't there yet.
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK, nil
	})
	if err != nil {
		t.Fatalf("%v: %s", err, process.Output())
	}
	return p
}

// scrape has Prometheus scrape other targets, each a URL without a path.
func (p *prometheus) scrape(targets ...string) {
	p.t.Helper()
	type group struct {
		Targets []string          `json:"targets"`
		Labels  map[string]string `json:"labels"`
	}
	groups := make([]group, 0, len(targets))
	for _, target := range targets {
		scheme, address, _ := strings.Cut(target, "://")
		groups = append(groups, group{[]string{address}, map[string]string{"__scheme__": scheme}})
	}
	encoded, err := json.Marshal(groups)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(p.targets+".new", encoded, 0o600); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Rename(p.targets+".new", p.targets); err != nil {
		p.t.Fatal(err)
	}
}

// get asks the API.
func (p *prometheus) get(path string, values url.Values, into any) {
	p.t.Helper()
	response, err := http.Get("http://" + p.address + "/api/v1/" + path + "?" + values.Encode()) //nolint:noctx // It answers at once.
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // It is only read.
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		p.t.Fatal(err)
	}
}

// firing are the alerts that fire.
func (p *prometheus) firing() map[string]bool {
	p.t.Helper()
	var answer struct {
		Data struct {
			Alerts []struct {
				State  string            `json:"state"`
				Labels map[string]string `json:"labels"`
			} `json:"alerts"`
		} `json:"data"`
	}
	p.get("alerts", nil, &answer)
	firing := make(map[string]bool)
	for _, alert := range answer.Data.Alerts {
		if alert.State == "firing" {
			firing[alert.Labels["alertname"]] = true
		}
	}
	return firing
}

// points is how many points a query has between two times.
func (p *prometheus) points(query string, from, to time.Time) (points int) {
	p.t.Helper()
	var answer struct {
		Error string `json:"error"`
		Data  struct {
			Result []struct {
				Values []any `json:"values"`
			} `json:"result"`
		} `json:"data"`
	}
	stamp := func(at time.Time) string { return fmt.Sprintf("%.3f", float64(at.UnixMilli())/1000) }
	p.get("query_range", url.Values{"query": {query}, "start": {stamp(from)}, "end": {stamp(to)}, "step": {"1"}}, &answer)
	if answer.Error != "" {
		p.t.Errorf("%s: %s", query, answer.Error)
	}
	for _, series := range answer.Data.Result {
		points += len(series.Values)
	}
	return points
}
