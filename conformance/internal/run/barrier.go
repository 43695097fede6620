package run

import (
	"context"
	"sync"
)

// barrier lets the runs of cases that need a server to stop wait for one another,
// and stops it when all have come that far or have failed before.
type barrier struct {
	mu      sync.Mutex
	missing int
	stop    func(context.Context) error
	err     error
	open    chan struct{}
}

func newBarrier(count int, stop func(context.Context) error) *barrier {
	return &barrier{missing: count, stop: stop, open: make(chan struct{})}
}

// wait waits until the server was told to stop.
func (b *barrier) wait(ctx context.Context) error {
	b.arrive(ctx)
	select {
	case <-b.open:
		return b.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// arrive counts a run that waits, or that has ended before it could.
func (b *barrier) arrive(ctx context.Context) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.missing--
	if b.missing == 0 {
		b.err = b.stop(ctx)
		close(b.open)
	}
}
