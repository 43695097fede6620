package filter

import (
	"context"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// slots bound the evaluations that cost much, over all filters, to half of the
// processors: what else the server does always finds one. They are given in the
// order in which they were asked for.
var slots = semaphore.NewWeighted(int64(max(1, runtime.GOMAXPROCS(0)/2)))

// allowance is what an evaluation may cost in the mean without a slot: about a
// tenth of a millisecond.
const allowance = 5000

// pace knows whether the evaluations of an expression cost much in the mean:
// then each needs a slot. Others needn't wait behind them. It goes by costs,
// since on a busy machine everything takes long.
type pace struct {
	// debt is what evaluations cost beyond their allowance, at most maxCost. It
	// begins above 0: nothing is known of the first one.
	debt atomic.Int64
}

func newPace() *pace {
	p := new(pace)
	p.debt.Store(1)
	return p
}

// begin waits for a slot where an evaluation needs one. It returns the error of
// the context where that ends before there is one; otherwise end has to follow.
func (p *pace) begin(ctx context.Context) (held bool, err error) {
	if p.debt.Load() == 0 {
		return false, nil
	}
	return true, slots.Acquire(ctx, 1)
}

// end takes note of what an evaluation cost, and gives back the slot that it
// held.
func (p *pace) end(held bool, cost int64) {
	p.debt.Store(min(max(p.debt.Load()+cost-allowance, 0), maxCost))
	if held {
		slots.Release(1)
	}
}
