package main

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"math"
	"slices"
	"strings"
)

// plot is rows of dots on a common logarithmic axis, in groups.
type plot struct {
	title  string
	axis   string // What the axis shows.
	groups []plotGroup
}

type plotGroup struct {
	title string
	rows  []plotRow
}

// plotRow is a line from the lowest to the highest value, with dots on it.
type plotRow struct {
	label, value string
	low, high    float64
	dots         []float64
	strong       bool // It is of what the plot is about.
}

// plot shows the ratios of the report, with their spread, or for a load p50, p99 and
// p99.9.
func (r *report) plot() plot {
	p := plot{title: "Rates, as ratios to the yardstick of each table; the lines go from the lowest to the highest of the runs", axis: "× yardstick"}
	for _, lines := range r.sections() {
		group := plotGroup{title: lines[0].Section}
		for _, l := range lines {
			row := plotRow{
				label: l.label, value: fmt.Sprintf("%.2f", l.Ratio), low: slices.Min(l.Ratios), high: slices.Max(l.Ratios),
				dots: []float64{l.Ratio}, strong: strings.HasPrefix(l.label, "Tidings"),
			}
			if l.section.form == loaded {
				p.title, p.axis = "Latency: p50, p99 and p99.9 of each row, in microseconds", "µs"
				row.low, row.high, row.dots = l.P50, l.P999, []float64{l.P50, l.P99, l.P999}
				row.value = thousands(l.P50) + " · " + thousands(l.P99) + " · " + thousands(l.P999)
			}
			group.rows = append(group.rows, row)
		}
		p.groups = append(p.groups, group)
	}
	return p
}

// Pixels of a plot.
const (
	plotWidth, plotLeft, plotRight = 960, 390, 220
	plotTop, plotRowHeight         = 48, 22
)

// The colours are read on white as well as on black; text follows the reader's scheme.
const plotStyle = `text{font:13px system-ui,sans-serif;fill:#24292f}.t{font-size:14px;font-weight:600}.g{font-weight:600}` +
	`.l{stroke:#d0d7de}.one{stroke:#848d97;stroke-dasharray:4 3}.a{fill:#848d97;stroke:#848d97}.b{fill:#2f81f7;stroke:#2f81f7}.e{text-anchor:end}.m{text-anchor:middle}` +
	`@media(prefers-color-scheme:dark){text{fill:#e6edf3}.l{stroke:#30363d}}`

// svg draws the plot.
func (p plot) svg() string {
	low, high := p.span()
	x := func(value float64) float64 {
		return plotLeft + math.Log(value/low)/math.Log(high/low)*(plotWidth-plotLeft-plotRight)
	}
	var marks strings.Builder
	y := plotTop
	for _, g := range p.groups {
		y += plotRowHeight + 6
		fmt.Fprintf(&marks, `<text class="g" x="12" y="%d">%s</text>`+"\n", y, escaped(g.title))
		for _, r := range g.rows {
			y += plotRowHeight
			class := "a"
			if r.strong {
				class = "b"
			}
			fmt.Fprintf(&marks, `<text class="e" x="%d" y="%d">%s</text>`, plotLeft-14, y, escaped(r.label))
			fmt.Fprintf(&marks, `<line class=%q stroke-width="3" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`, class, x(r.low), x(r.high), y-4, y-4)
			for _, dot := range r.dots {
				fmt.Fprintf(&marks, `<circle class=%q r="5" cx="%.1f" cy="%d"/>`, class, x(dot), y-4)
			}
			fmt.Fprintf(&marks, `<text class="e" x="%d" y="%d">%s</text>`+"\n", plotWidth-10, y, escaped(r.value))
		}
	}
	height := y + 44
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s">`+"\n<style>%s</style>\n",
		plotWidth, height, escaped(p.title), plotStyle)
	fmt.Fprintf(&b, `<text class="t" x="12" y="24">%s</text>`+"\n", escaped(p.title))
	for _, tick := range ticks(low, high) {
		class := "l"
		if tick == 1 && p.axis != "µs" {
			class = "one"
		}
		fmt.Fprintf(&b, `<line class=%q x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`, class, x(tick), x(tick), plotTop-8, y+8)
		fmt.Fprintf(&b, `<text class="m" x="%.1f" y="%d">%s</text>`+"\n", x(tick), y+26, escaped(tickLabel(tick)))
	}
	fmt.Fprintf(&b, `<text class="e" x="%d" y="%d">%s</text>`+"\n", plotWidth-10, y+26, escaped(p.axis))
	return b.String() + marks.String() + "</svg>\n"
}

// span is what the axis shows, some more than there is.
func (p plot) span() (low, high float64) {
	low, high = math.Inf(1), 0
	for _, g := range p.groups {
		for _, r := range g.rows {
			low, high = min(low, r.low), max(high, r.high)
		}
	}
	if low <= 0 || high <= 0 {
		return 0.5, 2
	}
	return low / 1.15, high * 1.15
}

// ticks are round values in a span, at most about ten.
func ticks(low, high float64) (values []float64) {
	steps := []float64{1, 2, 5}
	if high/low > 1000 {
		steps = []float64{1}
	}
	for power := math.Floor(math.Log10(low)); power <= math.Ceil(math.Log10(high)); power++ {
		for _, step := range steps {
			if value := step * math.Pow(10, power); cmp.Compare(value, low) >= 0 && value <= high {
				values = append(values, value)
			}
		}
	}
	return values
}

func tickLabel(value float64) string {
	if value >= 1 {
		return thousands(value)
	}
	return fmt.Sprintf("%.3g", value)
}

func escaped(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // A strings.Builder takes all.
	return b.String()
}
