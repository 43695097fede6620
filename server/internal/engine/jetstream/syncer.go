package engine

import (
	"context"
	"fmt"
	"os"

	"example.com/tidings/server/internal/guard"
)

// syncer flushes the volume of the data directory for groups of appends: one
// flush covers every append that was acknowledged before it began. That is
// sound because JetStream writes a message before it acknowledges it.
type syncer struct {
	dir     *os.File
	waiters chan chan error
	done    chan struct{}
}

func newSyncer(dataDir string) (*syncer, error) {
	dir, err := os.Open(dataDir)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	s := &syncer{dir: dir, waiters: make(chan chan error, maxInFlight), done: make(chan struct{})}
	guard.Go(s.run, func(error) { close(s.done) })
	return s, nil
}

func (s *syncer) run() error {
	var group []chan error
	for first := range s.waiters {
		group = append(group[:0], first)
		for range len(s.waiters) {
			group = append(group, <-s.waiters)
		}
		err := syncVolume(s.dir)
		for _, waiter := range group {
			waiter <- err
		}
	}
	return nil
}

// wait returns once everything acknowledged before the call is on the disk. A
// nil syncer has nothing to wait for.
func (s *syncer) wait(ctx context.Context) error {
	if s == nil {
		return nil
	}
	waiter := make(chan error, 1)
	select {
	case s.waiters <- waiter:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-waiter:
		if err != nil {
			return fmt.Errorf("%w: flushing the volume: %w", ErrUnavailable, err)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *syncer) close() {
	close(s.waiters)
	<-s.done
	_ = s.dir.Close() // Nothing was written through it.
}
