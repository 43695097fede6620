// Package page keeps docs/languages.md: the matrix of what the clients showed, what
// each language needs, and the matrix of the reference servers.
package page

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"example.com/tidings/interop/internal/runner"
	"example.com/tidings/interop/internal/scenario"
)

// The parts of the page that are written, each between two comments.
const (
	matrixPart  = "matrix"
	clientsPart = "clients"
	serversPart = "servers"
)

// Update returns the page with the results, and the cells that were ok in it and
// aren't any more. Where not all clients were run, what the page says of the
// others stays.
func Update(page string, results []runner.Result, all bool) (updated string, lostCells []string, err error) {
	before, err := parseMatrix(part(page, matrixPart))
	if err != nil {
		return "", nil, err
	}
	sections := parseSections(part(page, clientsPart))
	if all {
		sections = make(map[string]string)
	}
	ran := make(map[string]bool)
	var now []row
	for _, result := range results {
		ran[result.Client.Language] = true
		now = append(now, rowsOf(result)...)
		if sections[result.Client.Language], err = renderSection(result.Client); err != nil {
			return "", nil, err
		}
	}
	now = merge(before, now, ran, all)
	lostCells = lost(before, now)
	var clients []string
	for _, language := range slices.SortedFunc(maps.Keys(sections), compareNames) {
		clients = append(clients, sections[language])
	}
	if updated, err = replacePart(page, matrixPart, renderMatrix(now, scenario.Steps)); err != nil {
		return "", nil, err
	}
	updated, err = replacePart(updated, clientsPart, strings.Join(clients, "\n"))
	return updated, lostCells, err
}

// Matrix returns the table of the results alone.
func Matrix(results []runner.Result) string {
	var rows []row
	for _, result := range results {
		rows = append(rows, rowsOf(result)...)
	}
	return renderMatrix(rows, scenario.Steps)
}

// compareNames orders names without regard to capitals.
func compareNames(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) }

func marks(name string) (begin, end string) {
	return "<!-- " + name + ":begin -->\n", "<!-- " + name + ":end -->"
}

// part returns what is between the marks of a part, or nothing.
func part(page, name string) string {
	begin, end := marks(name)
	_, after, _ := strings.Cut(page, begin)
	text, _, _ := strings.Cut(after, end)
	return text
}

func replacePart(page, name, text string) (string, error) {
	begin, end := marks(name)
	before, rest, beginFound := strings.Cut(page, begin)
	_, after, endFound := strings.Cut(rest, end)
	if !beginFound || !endFound {
		return "", fmt.Errorf("there is no %q with a %q after it", strings.TrimSpace(begin), end)
	}
	return before + begin + "\n" + text + "\n" + end + after, nil
}
