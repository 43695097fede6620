package daemon

import "testing"

// TestGrowth: a heap may grow by heapRoom, and a large one to twice its size.
func TestGrowth(t *testing.T) {
	for live, want := range map[uint64]int{
		0:             3200, // Of goMinimum.
		goMinimum:     3200,
		16 << 20:      800,
		heapRoom:      100,
		heapRoom * 10: 100,
	} {
		if got := growth(live); got != want {
			t.Errorf("%d bytes: %d %%, want %d %%", live, got, want)
		}
	}
}
