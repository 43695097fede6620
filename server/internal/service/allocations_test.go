//go:build !race

// The race detector makes pools forget.

package service

import "testing"

// TestBatchAllocatesLittle: checking a batch and making its record allocates for the batch,
// and not for each of its events.
func TestBatchAllocatesLittle(t *testing.T) {
	_, c, parsed := benchPublication(t)
	const most = 25 // For 100 events.
	if got := testing.AllocsPerRun(20, func() {
		p := &publication{topic: benchTopic}
		if err := p.checkEvents(t.Context(), new(Service), c, parsed); err != nil {
			t.Fatal(err)
		}
		if err := p.encode(parsed, c.types); err != nil {
			t.Fatal(err)
		}
	}); got > most {
		t.Errorf("%v allocations, want at most %d", got, most)
	}
}
