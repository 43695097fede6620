package main

import (
	"cmp"
	"encoding/json"
	"io"
	"math"
	"runtime"
	"runtime/debug"
	"time"
)

// The forms of the report.
const (
	outputMarkdown = "markdown"
	outputJSON     = "json"
)

// report is what the runs of a suite found.
type report struct {
	Suite  string  `json:"suite"`
	Go     string  `json:"go"`
	System string  `json:"system"`
	CPUs   int     `json:"cpus"`
	NATS   string  `json:"nats_server"`
	GRPC   string  `json:"grpc"`
	Events int     `json:"events"`
	Batch  int     `json:"batch"`
	Size   int     `json:"event_bytes"`
	Runs   int     `json:"runs"`
	Sync   string  `json:"tidings_sync"`
	Rows   []*line `json:"rows"`
	// Others are the shares of the processors that others had while each table was
	// measured in each run, in percent, and Repeats how often one was measured again.
	Others  []float64 `json:"others_percent"`
	Repeats int       `json:"repeats"`

	disturbed float64
	notes     []string
}

// line is a row of the report: medians of the runs, each ratio taken within a
// run.
type line struct {
	Section   string    `json:"section"`
	Name      string    `json:"name"`
	Against   string    `json:"against"`
	Note      string    `json:"note,omitempty"`
	PerSecond float64   `json:"events_per_second"`
	Ratio     float64   `json:"ratio"`
	P50       float64   `json:"p50_us,omitempty"`
	P99       float64   `json:"p99_us,omitempty"`
	P999      float64   `json:"p999_us,omitempty"`
	Spent     float64   `json:"server_us_per_event,omitempty"`
	Rates     []float64 `json:"events_per_second_of_runs"`
	Ratios    []float64 `json:"ratios_of_runs"`
	// SpentRatio is that of processor times, P99Ratio that of the times in P99.
	SpentRatio float64 `json:"server_us_ratio,omitempty"`
	P99Ratio   float64 `json:"p99_ratio,omitempty"`

	label   string
	section section
	samples []sample
	against []sample // Of the same runs.
}

func newReport(cfg config, suite suite, rows []row) *report {
	r := &report{
		Suite: suite.name,
		Go:    runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.GOMAXPROCS(0),
		NATS: versionOf("github.com/nats-io/nats-server/v2"), GRPC: versionOf("google.golang.org/grpc"),
		Events: cfg.events, Batch: cfg.batch, Size: cfg.size, Runs: cfg.runs, Sync: cfg.sync, disturbed: cfg.disturbed,
	}
	for _, row := range rows {
		r.Rows = append(r.Rows, &line{Section: row.section.title, Name: row.name, Against: row.against, Note: row.note, label: cmp.Or(row.label, row.name), section: row.section})
	}
	return r
}

// versionOf returns the version of a module in this program.
func versionOf(module string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, dependency := range info.Deps {
		if dependency.Path == module {
			return dependency.Version
		}
	}
	return "unknown"
}

// add adds the samples of a table in a run, by the names of their rows, and how far others
// disturbed it.
func (r *report) add(samples map[string]sample, others disturbance) {
	r.Others = append(r.Others, math.Round(others.share*1000)/10)
	r.Repeats += others.repeats
	for _, l := range r.Rows {
		if s, ok := samples[l.Name]; ok {
			l.samples, l.against = append(l.samples, s), append(l.against, samples[l.Against])
			l.summarize()
		}
	}
}

// summarize takes the medians.
func (l *line) summarize() {
	of := func(value func(s, against sample) float64) []float64 {
		values := make([]float64, len(l.samples))
		for i, s := range l.samples {
			values[i] = value(s, l.against[i])
		}
		return values
	}
	ratio := func(a, b float64) float64 {
		if b == 0 {
			return 0
		}
		return a / b
	}
	l.Rates = of(func(s, _ sample) float64 { return s.rate })
	l.Ratios = of(func(s, against sample) float64 {
		if l.section.form == loaded {
			return ratio(float64(s.p50), float64(against.p50))
		}
		return ratio(s.rate, against.rate)
	})
	l.PerSecond, l.Ratio = median(l.Rates), median(l.Ratios)
	l.P50 = median(of(func(s, _ sample) float64 { return microseconds(s.p50) }))
	l.P99 = median(of(func(s, _ sample) float64 { return microseconds(s.p99) }))
	l.P999 = median(of(func(s, _ sample) float64 { return microseconds(s.p999) }))
	l.P99Ratio = median(of(func(s, against sample) float64 { return ratio(float64(s.p99), float64(against.p99)) }))
	l.Spent = median(of(func(s, _ sample) float64 { return microseconds(s.spent) }))
	l.SpentRatio = median(of(func(s, against sample) float64 { return ratio(float64(s.spent), float64(against.spent)) }))
}

func microseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

func (r *report) write(out io.Writer, form string) error {
	if form == outputJSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	}
	_, err := io.WriteString(out, r.markdown())
	return err
}
