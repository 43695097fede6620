// Package alerttest tests docs/operations: the alert rules, the dashboard and the
// runbook, with Prometheus beside servers.
package alerttest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documents is where the files under test are.
const documents = "../../../docs/operations"

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(documents, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// alertNames are the names of the rules.
func alertNames(t *testing.T) (names []string) {
	t.Helper()
	for _, match := range regexp.MustCompile(`(?m)^ {2}- alert: (\w+)$`).FindAllStringSubmatch(read(t, "alerts.yaml"), -1) {
		names = append(names, match[1])
	}
	if len(names) < 20 {
		t.Fatalf("there are %d alerts", len(names))
	}
	return names
}

// queries are those of the dashboard, by their panels.
func queries(t *testing.T) map[string][]string {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Title   string `json:"title"`
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	if err := json.Unmarshal([]byte(read(t, "dashboard.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	found := make(map[string][]string)
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			found[panel.Title] = append(found[panel.Title], target.Expr)
		}
	}
	if len(found) == 0 {
		t.Fatal("there are no panels")
	}
	return found
}

// TestRunbook holds the runbook to the alerts.
func TestRunbook(t *testing.T) {
	names := alertNames(t)
	runbook, rules := read(t, "runbook.md"), read(t, "alerts.yaml")
	for _, name := range names {
		_, entry, _ := strings.Cut(runbook, "\n## "+name+"\n")
		entry, _, _ = strings.Cut(entry, "\n## ")
		for _, part := range []string{"**Means.**", "**Look at.**", "**Do.**"} {
			if !strings.Contains(entry, part) {
				t.Errorf("the runbook has no %s for %s", part, name)
			}
		}
		if !strings.Contains(rules, "runbook: docs/operations/runbook.md#"+strings.ToLower(name)+"\n") {
			t.Errorf("%s doesn't lead to the runbook", name)
		}
	}
	for _, match := range regexp.MustCompile(`(?m)^## (Tidings\w+)$`).FindAllStringSubmatch(runbook, -1) {
		if !slices.Contains(names, match[1]) {
			t.Errorf("the runbook has %s, which isn't an alert", match[1])
		}
	}
}

// TestMetricsOfRules holds the rules and the dashboard to the metrics that
// docs/operations.md has, which package telemetry holds to those that there are.
func TestMetricsOfRules(t *testing.T) {
	documented := read(t, "../operations.md")
	name := regexp.MustCompile(`tidings_[a-z_]+`)
	text := read(t, "alerts.yaml")
	for _, exprs := range queries(t) {
		text += "\n" + strings.Join(exprs, "\n") + "\n"
	}
	for _, metric := range name.FindAllString(text, -1) {
		if base := strings.TrimSuffix(metric, "_bucket"); !strings.Contains(documented, "`"+base+"`") {
			t.Errorf("%s isn't among the metrics", metric)
		}
	}
}

// need returns the path of a program of Prometheus, or skips the test where nobody
// asked for it.
func need(t *testing.T, program string) string {
	t.Helper()
	if os.Getenv("TIDINGS_ALERTS") == "" {
		t.Skip("make test-alerts runs it, with Prometheus")
	}
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("%v: .ci/prometheus installs it", err)
	}
	return path
}

// TestAlertsByPromtool checks the rules and their unit tests.
func TestAlertsByPromtool(t *testing.T) {
	for _, arguments := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		cmd := exec.CommandContext(t.Context(), need(t, "promtool"), arguments...)
		cmd.Dir = documents
		output, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("promtool %q: %v\n%s", arguments, err, output)
		}
	}
}

// unitTested are the alerts that promtool has tested.
func unitTested(t *testing.T) (names []string) {
	t.Helper()
	for _, match := range regexp.MustCompile(`(?m)^- name: (\w+)$`).FindAllStringSubmatch(read(t, "alerts_test.yaml"), -1) {
		names = append(names, match[1])
	}
	return names
}
