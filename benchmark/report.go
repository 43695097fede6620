package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// The forms of the report.
const (
	outputMarkdown = "markdown"
	outputJSON     = "json"
)

// report is what the runs found.
type report struct {
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
}

// line is a row of the report: medians of the runs, each ratio taken within a
// run.
type line struct {
	Section   string    `json:"section"`
	Name      string    `json:"name"`
	Against   string    `json:"against"`
	PerSecond float64   `json:"events_per_second"`
	Ratio     float64   `json:"ratio"`
	P50       float64   `json:"p50_us,omitempty"`
	P99       float64   `json:"p99_us,omitempty"`
	Rates     []float64 `json:"events_per_second_of_runs"`
	Ratios    []float64 `json:"ratios_of_runs"`

	p50s, p99s []time.Duration
}

func newReport(cfg config, rows []row) *report {
	r := &report{
		Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.GOMAXPROCS(0),
		NATS: versionOf("github.com/nats-io/nats-server/v2"), GRPC: versionOf("google.golang.org/grpc"),
		Events: cfg.events, Batch: cfg.batch, Size: cfg.size, Runs: cfg.runs, Sync: cfg.sync,
	}
	for _, row := range rows {
		r.Rows = append(r.Rows, &line{Section: row.section, Name: row.name, Against: row.against})
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

// add adds the samples of a run, by the names of their rows.
func (r *report) add(samples map[string]sample) {
	for _, l := range r.Rows {
		s := samples[l.Name]
		l.Rates = append(l.Rates, s.rate)
		l.Ratios = append(l.Ratios, s.rate/samples[l.Against].rate)
		l.p50s, l.p99s = append(l.p50s, s.p50), append(l.p99s, s.p99)
		l.PerSecond, l.Ratio = median(l.Rates), median(l.Ratios)
		l.P50, l.P99 = microseconds(median(l.p50s)), microseconds(median(l.p99s))
	}
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

func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s, %d CPUs, nats-server %s, grpc-go %s; events of %d bytes, %d a pass, batches of %d; sync %s; medians of %d runs.\n",
		r.Go, r.System, r.CPUs, r.NATS, r.GRPC, r.Size, r.Events, r.Batch, r.Sync, r.Runs)
	section := ""
	for _, l := range r.Rows {
		if l.Section != section {
			section = l.Section
			yardstick := "raw"
			if section == checking {
				yardstick = "all rules"
			}
			b.WriteString("\n| " + section + " | events/s | × " + yardstick + " |")
			if l.P50 > 0 {
				b.WriteString(" p50 µs | p99 µs |\n|---|---:|---:|---:|---:|\n")
			} else {
				b.WriteString("\n|---|---:|---:|\n")
			}
		}
		fmt.Fprintf(&b, "| %s | %s | %.2f |", l.Name, thousands(l.PerSecond), l.Ratio)
		if l.P50 > 0 {
			fmt.Fprintf(&b, " %.0f | %.0f |", l.P50, l.P99)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// thousands writes a number with commas, to three significant digits or to the
// unit.
func thousands(value float64) string {
	step := 1.0
	for value/step >= 1000 {
		step *= 10
	}
	digits := fmt.Sprintf("%.0f", float64(int64(value/step+0.5))*step)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
