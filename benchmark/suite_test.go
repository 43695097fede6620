package main

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A table that others disturb is measured again, as often as is allowed, and the calmest
// of the measurements counts.
func TestDisturbedTableIsRepeated(t *testing.T) {
	for _, c := range []struct {
		name    string
		others  []float64 // Shares, by attempt.
		repeats int
		rate    float64
		share   float64
	}{
		{"calm", []float64{0.05}, 0, 1, 0.05},
		{"calm the second time", []float64{0.5, 0}, 1, 2, 0},
		{"never calm", []float64{0.5, 0.2, 0.9}, 2, 2, 0.2},
	} {
		attempts := 0.0
		rows := []row{{name: "a", against: "a", measure: func(context.Context, time.Duration) (sample, error) {
			attempts++
			return sample{rate: attempts}, nil
		}}}
		looks, now := 0, processorUse{}
		use := func() processorUse {
			looks++
			if looks%2 == 0 { // The second look of an attempt: a second of two processors.
				now.total += 2 * time.Second
				now.own += time.Second / 10
				now.busy += time.Second/10 + time.Duration(c.others[looks/2-1]*2*float64(time.Second))
			}
			return now
		}
		samples, of, err := measureSection(t.Context(), config{repeats: 2, disturbed: 10}, 1, rows, io.Discard, use)
		if err != nil || of.repeats != c.repeats || samples["a"].rate != c.rate || of.share != c.share {
			t.Errorf("%s: %v, %+v, error %v", c.name, samples, of, err)
		}
	}
}

// What this process does is its own, and not that of others.
func TestOwnTimeIsNoDisturbance(t *testing.T) {
	before := processors()
	if before.total == 0 {
		t.Skip("the system doesn't say what its processors did")
	}
	for begun := time.Now(); processors().own-before.own < 200*time.Millisecond; {
		if time.Since(begun) > time.Minute {
			t.Fatal("the time of this process isn't counted")
		}
	}
	if after := processors(); after.busy < before.busy || after.total <= before.total {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

func TestDocumentTakesTables(t *testing.T) {
	path := filepath.Join(t.TempDir(), "performance.md")
	if err := os.WriteFile(path, []byte("before\n\n<!-- bench:main -->\nold\n<!-- bench:main end -->\n\nafter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	found := newReport(config{runs: 1}, mainSuite, []row{
		{name: "raw", against: "raw", section: publishing}, {name: "Tidings & <co>", against: "raw", section: publishing},
	})
	found.add(map[string]sample{"raw": {rate: 100}, "Tidings & <co>": {rate: 250}}, disturbance{share: 0.02})
	for range 2 { // The second time changes nothing.
		if err := found.publish(path); err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	for _, want := range []string{
		"before\n\n<!-- bench:main -->\n", "| Tidings & <co> | 250 | 2.50 | 2.50–2.50 |\n", "others had 2.0 %",
		" in the tables above.](performance/main.svg)\n\n<!-- bench:main end -->\n\nafter\n",
	} {
		if strings.Count(text, want) != 1 {
			t.Errorf("not once: %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "old") {
		t.Errorf("the old text is there still:\n%s", text)
	}
	drawn, err := os.Open(filepath.Join(strings.TrimSuffix(path, ".md"), "main.svg"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = drawn.Close() }()
	dots := 0
	for decoder := xml.NewDecoder(drawn); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if element, ok := token.(xml.StartElement); ok && element.Name.Local == "circle" {
			dots++
		}
	}
	if dots != 2 {
		t.Errorf("%d dots, want 2", dots)
	}
	if err := placeInDocument(path, "other", ""); err == nil || !strings.Contains(err.Error(), "<!-- bench:other -->") {
		t.Errorf("a document without a place: %v", err)
	}
}

func TestChosenRowsHaveTheirYardsticks(t *testing.T) {
	rows := []row{
		{name: "raw", against: "raw", section: publishing}, {name: "a", against: "raw", section: publishing},
		{name: "b", against: "raw", section: publishing}, {name: "c", against: "c", section: reading},
	}
	var names []string
	for _, r := range chosen(rows, regexp.MustCompile("^b$")) {
		names = append(names, r.name)
	}
	if got := strings.Join(names, " "); got != "raw b" {
		t.Errorf("rows %q", got)
	}
}
