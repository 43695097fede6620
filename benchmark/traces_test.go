package main

import (
	"strings"
	"testing"
)

// TestTraces measures each work with each sampling, and wants traces to have come.
func TestTraces(t *testing.T) {
	cfg := smoke(t)
	found, err := measureTraces(t.Context(), cfg, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	if want := len(tracedWorks) * len(samplings); len(found.Rows) != want {
		t.Errorf("%d rows, want %d", len(found.Rows), want)
	}
	for _, row := range found.Rows {
		if strings.HasSuffix(row.What, "traces off") && !strings.Contains(row.Found, ", 1.000 of that without; ") {
			t.Errorf("%s: %s", row.What, row.Found)
		}
	}
}
