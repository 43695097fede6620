package page

import (
	"fmt"
	"slices"
	"strings"

	"example.com/tidings/interop/internal/runner"
	"example.com/tidings/interop/internal/scenario"
)

// A row is what came of a language over a transport.
type row struct {
	language, transport string
	cells               map[string]string // By step, or by what else the column shows.
}

// rowsOf returns the rows of a result.
func rowsOf(result runner.Result) []row {
	var rows []row
	for _, run := range result.Runs {
		rows = append(rows, rowOf(result.Client.Language, run))
	}
	return rows
}

func rowOf(language string, run runner.Run) row {
	r := row{language: language, transport: run.Transport, cells: make(map[string]string)}
	for step, outcome := range run.Outcomes {
		r.cells[step] = string(outcome.State)
	}
	return r
}

// merge returns the rows of a run, with those of before whose languages were not
// run, unless all were.
func merge(before, now []row, ran map[string]bool, all bool) []row {
	merged := slices.Clone(now)
	for _, r := range before {
		if !all && !ran[r.language] {
			merged = append(merged, r)
		}
	}
	slices.SortStableFunc(merged, func(a, b row) int { return compareNames(a.language, b.language) })
	return merged
}

// renderMatrix returns the table of the rows, with these columns besides those of
// the language and the transport.
func renderMatrix(rows []row, columns []string) string {
	var table strings.Builder
	fmt.Fprintf(&table, "| language | transport | %s |\n", strings.Join(columns, " | "))
	table.WriteString(strings.Repeat("|---", len(columns)+2) + "|\n")
	for _, r := range rows {
		fmt.Fprintf(&table, "| %s | %s |", r.language, r.transport)
		for _, column := range columns {
			fmt.Fprintf(&table, " %s |", r.cells[column])
		}
		table.WriteString("\n")
	}
	return table.String()
}

// parseMatrix is the inverse of renderMatrix, also for a table with other steps.
// An empty text has no rows.
func parseMatrix(text string) ([]row, error) {
	var header []string
	var rows []row
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case header == nil:
			if len(cells) < 3 || cells[0] != "language" || cells[1] != "transport" {
				return nil, fmt.Errorf("%q is not the head of the matrix", line)
			}
			header = cells
		case strings.HasPrefix(cells[0], "---"):
		case len(cells) != len(header):
			return nil, fmt.Errorf("%q has %d cells, want %d", line, len(cells), len(header))
		default:
			r := row{language: cells[0], transport: cells[1], cells: make(map[string]string)}
			for i, step := range header[2:] {
				r.cells[step] = cells[i+2]
			}
			rows = append(rows, r)
		}
	}
	return rows, nil
}

// lost returns the cells that were ok and aren't any more.
func lost(before, now []row) []string {
	var cells []string
	for _, old := range before {
		i := slices.IndexFunc(now, func(r row) bool { return r.language == old.language && r.transport == old.transport })
		for _, step := range stepsOf(old) {
			if old.cells[step] != string(scenario.OK) {
				continue
			}
			switch {
			case i < 0:
				cells = append(cells, fmt.Sprintf("%s over %s: %s was ok, and was not run now", old.language, old.transport, step))
			case now[i].cells[step] != string(scenario.OK):
				cells = append(cells, fmt.Sprintf("%s over %s: %s was ok, and is %q now", old.language, old.transport, step, now[i].cells[step]))
			}
		}
	}
	return cells
}

// stepsOf returns the steps of a row in an order that is always the same, with
// those that aren't steps any more.
func stepsOf(r row) []string {
	var steps []string
	for step := range r.cells {
		steps = append(steps, step)
	}
	slices.SortFunc(steps, func(a, b string) int {
		if order := slices.Index(scenario.Steps, a) - slices.Index(scenario.Steps, b); order != 0 {
			return order
		}
		return strings.Compare(a, b)
	})
	return steps
}
