package daemon

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

const (
	// heapRoom is by how much the heap may grow at least between two collections. What
	// a server keeps is small beside what its calls allocate: where the heap may only
	// double, which is Go's default, a busy one spends a sixth of its processor time on
	// collecting.
	heapRoom = 128 << 20
	// goPercent is Go's default of GOGC. goMinimum is the size of the heap below which
	// Go doesn't collect with it, and grows with the percentage.
	goPercent = 100
	goMinimum = 4 << 20
)

// roomyHeap has the heap grow by heapRoom between two collections, from here on, unless
// GOGC says how far it may grow. GOMEMLIMIT counts all the same.
var roomyHeap = sync.OnceFunc(func() {
	if os.Getenv("GOGC") == "" {
		setGrowth(goPercent)
	}
})

// setGrowth sets how far the heap may grow, where a percentage is in force, and does so
// again after each collection.
func setGrowth(percent int) {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}} // After the last collection.
	metrics.Read(live)
	wanted := growth(live[0].Value.Uint64())
	if wanted < percent-percent/8 || wanted > percent+percent/8 { // Setting it stops the process for a moment.
		debug.SetGCPercent(wanted)
		percent = wanted
	}
	runtime.AddCleanup(new([64]byte), setGrowth, percent)
}

// growth is the percentage of a live heap that it may grow by.
func growth(live uint64) int {
	return int(max(goPercent, heapRoom*goPercent/max(live, goMinimum)))
}
