package page

import (
	"slices"

	"example.com/tidings/interop/internal/runner"
	"example.com/tidings/interop/internal/scenario"
)

// conformanceColumn shows the counts of the conformance suite.
const conformanceColumn = "conformance"

// serverColumns are those of the matrix of the servers.
func serverColumns() []string { return append(slices.Clone(scenario.ServerSteps), conformanceColumn) }

// UpdateServers returns the page with the results of the reference servers, as
// Update does with those of the clients.
func UpdateServers(page string, results []runner.ServerResult, all bool) (updated string, lostCells []string, err error) {
	before, err := parseMatrix(part(page, serversPart))
	if err != nil {
		return "", nil, err
	}
	ran := make(map[string]bool)
	for _, result := range results {
		ran[result.Server.Language] = true
	}
	now := merge(before, serverRows(results), ran, all)
	lostCells = lost(before, now)
	for i := range lostCells {
		lostCells[i] = "the server in " + lostCells[i]
	}
	updated, err = replacePart(page, serversPart, renderMatrix(now, serverColumns()))
	return updated, lostCells, err
}

// ServerMatrix returns the table of the results alone.
func ServerMatrix(results []runner.ServerResult) string {
	return renderMatrix(serverRows(results), serverColumns())
}

func serverRows(results []runner.ServerResult) []row {
	var rows []row
	for _, result := range results {
		for _, run := range result.Runs {
			r := rowOf(result.Server.Language, run.Run)
			r.cells[conformanceColumn] = run.Conformance.String()
			rows = append(rows, r)
		}
	}
	return rows
}
