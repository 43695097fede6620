package telemetry_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDocument holds the table of docs/operations.md to the metrics that there are.
func TestDocument(t *testing.T) {
	text, err := os.ReadFile("../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]bool)
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "| `tidings_") {
			continue
		}
		names, rest, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		labels, _, _ := strings.Cut(rest, " | ")
		for _, name := range regexp.MustCompile("tidings_[a-z_]+").FindAllString(names, -1) {
			documented[name] = true
			if problem := labelProblem(scrape(t, complete()), name, labels); problem != "" {
				t.Errorf("%s: %s", name, problem)
			}
		}
	}
	there := make(map[string]bool)
	for line := range strings.Lines(scrape(t, complete())) {
		if name, ok := strings.CutPrefix(line, "# TYPE tidings_"); ok {
			there["tidings_"+strings.Fields(name)[0]] = true
		}
	}
	for name := range there {
		if !documented[name] {
			t.Errorf("docs/operations.md doesn't have %s", name)
		}
	}
	for name := range documented {
		if !there[name] {
			t.Errorf("docs/operations.md has %s, which there isn't", name)
		}
	}
}

// labelProblem says which label of a metric a cell doesn't have.
func labelProblem(text, name, cell string) string {
	for line := range strings.Lines(text) {
		series, ok := strings.CutPrefix(line, name+"{")
		if !ok {
			continue
		}
		for _, pair := range regexp.MustCompile(`([a-z]+)="`).FindAllStringSubmatch(series, -1) {
			if label := pair[1]; !slices.Contains([]string{"le"}, label) && !strings.Contains(cell, "`"+label+"`") {
				return "the table doesn't have its label " + label
			}
		}
		return ""
	}
	return ""
}
