package main

import (
	"fmt"
	"slices"
	"strings"
)

// markdown is the report as text and tables.
func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s, %d CPUs, nats-server %s, grpc-go %s; %s; medians of %d runs. %s\n",
		r.Go, r.System, r.CPUs, r.NATS, r.GRPC, r.moved(), r.Runs, r.calm())
	for _, note := range r.notes {
		b.WriteString("\n" + note + "\n")
	}
	for _, lines := range r.sections() {
		columns := columnsOf(lines)
		b.WriteString("\n| " + lines[0].Section + " |")
		for _, c := range columns {
			b.WriteString(" " + c.head + " |")
		}
		b.WriteString("\n|---|")
		for _, c := range columns {
			b.WriteString(c.align + "|")
		}
		b.WriteByte('\n')
		for _, l := range lines {
			b.WriteString("| " + l.label + " |")
			for _, c := range columns {
				b.WriteString(" " + c.cell(l) + " |")
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// moved says what was moved, and what a receipt of Tidings means where the rows don't.
func (r *report) moved() string {
	batches := fmt.Sprintf("batches of %d", r.Batch)
	events := fmt.Sprintf("events of %d bytes, %d a pass, ", r.Size, r.Events)
	switch r.Suite {
	case sizesSuite.name:
		return batches + "; sync " + r.Sync
	case clusterSuite.name:
		return events + batches
	default:
		return events + batches + "; sync " + r.Sync
	}
}

// sections are the rows, by their tables.
func (r *report) sections() (tables [][]*line) {
	for i, l := range r.Rows {
		if i == 0 || r.Rows[i-1].Section != l.Section {
			tables = append(tables, nil)
		}
		tables[len(tables)-1] = append(tables[len(tables)-1], l)
	}
	return tables
}

// calm says how calm the machine was.
func (r *report) calm() string {
	if len(r.Others) == 0 {
		return ""
	}
	text := fmt.Sprintf("While a table was measured, others had %.1f %% of the processors (the median; at most %.1f %%); ",
		median(r.Others), slices.Max(r.Others))
	left := 0
	for _, share := range r.Others {
		if share > r.disturbed {
			left++
		}
	}
	text += fmt.Sprintf("%d times one was measured again because that was more than %.0f %%", r.Repeats, r.disturbed)
	if left > 0 {
		text += fmt.Sprintf(", and **%d of %d remained so**", left, len(r.Others))
	}
	return text + "."
}

// column is a column of a table beside the names.
type column struct {
	head  string
	align string
	cell  func(l *line) string
}

// columnsOf are the columns of the table that has some rows.
func columnsOf(lines []*line) (columns []column) {
	const number, text = "---:", "---"
	add := func(head, align string, cell func(l *line) string) {
		columns = append(columns, column{head, align, cell})
	}
	of := lines[0].section
	times := "× " + of.yardstick
	rate := func(l *line) string { return thousands(l.PerSecond) }
	ratio := func(l *line) string { return fmt.Sprintf("%.2f", l.Ratio) }
	spread := func(l *line) string { return fmt.Sprintf("%.2f–%.2f", slices.Min(l.Ratios), slices.Max(l.Ratios)) }
	micros := func(value func(l *line) float64) func(*line) string {
		return func(l *line) string { return thousands(value(l)) }
	}
	p50 := micros(func(l *line) float64 { return l.P50 })
	p99 := micros(func(l *line) float64 { return l.P99 })
	p999 := micros(func(l *line) float64 { return l.P999 })
	if of.form == loaded {
		add("events/s", number, rate)
		add("p50 µs", number, p50)
		add(times, number, ratio)
		add("of the runs", number, spread)
		add("p99 µs", number, p99)
		add(times, number, func(l *line) string { return fmt.Sprintf("%.2f", l.P99Ratio) })
		add("p99.9 µs", number, p999)
	} else {
		add("events/s", number, rate)
		add(times, number, ratio)
		add("of the runs", number, spread)
	}
	switch of.form {
	case calls:
		add("p50 µs", number, p50)
		add("p99 µs", number, p99)
		add("p99.9 µs", number, p999)
	case costing:
		add("server, µs an event", number, func(l *line) string { return fmt.Sprintf("%.2f", l.Spent) })
		add(times, number, func(l *line) string { return fmt.Sprintf("%.2f", l.SpentRatio) })
	case rates, loaded:
	}
	if slices.ContainsFunc(lines, func(l *line) bool { return l.Note != "" }) {
		add("", text, func(l *line) string { return l.Note })
	}
	return columns
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
