package otlp

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

// TestOutage wants the beginning and the end of an outage to be logged, and nothing else.
func TestOutage(t *testing.T) {
	var log bytes.Buffer
	o := &outage{what: "traces", log: slog.New(slog.NewTextHandler(&log, nil))}
	for _, err := range []error{nil, errors.New("refused"), errors.New("refused"), context.Canceled, errors.New("late"), nil, nil, errors.New("refused")} {
		o.note(t.Context(), err)
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	for i, want := range []string{"error=refused", "failed_attempts=3", "error=refused"} {
		if i >= len(lines) || !strings.Contains(lines[i], want) {
			t.Errorf("line %d has no %s:\n%s", i, want, log.String())
		}
	}
	if len(lines) != 3 {
		t.Errorf("%d lines:\n%s", len(lines), log.String())
	}
}
