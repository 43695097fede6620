package local

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// sayAgain is how often it is said that Pebble fails in the background.
	sayAgain = 10 * time.Second
	// retryPause is what Pebble waits before it tries again, which it would do at
	// once and forever.
	retryPause = 250 * time.Millisecond
)

// background is how Pebble does in the background.
type background struct {
	log *slog.Logger
	// closing is closed before the storage is.
	closing chan struct{}
	// stalled has why nothing can be changed: what is in memory can't be written.
	stalled atomic.Pointer[error]
	// written says that a memtable was written to a table since recent looked.
	written atomic.Bool

	mu sync.Mutex
	// failed is when Pebble failed last, and said when that was said.
	failed, said time.Time
}

// fail takes note of an error. Pebble tries again.
func (b *background) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed = time.Now()
	if b.failed.Sub(b.said) > sayAgain {
		b.said = b.failed
		b.log.Error("the storage failed in the background and tries again", "error", err.Error())
	}
}

// flushed takes note of whether what was in memory could be written.
func (b *background) flushed(err error) {
	b.written.Store(true)
	if _, ok := errors.AsType[syscall.Errno](err); !ok {
		b.stalled.Store(nil)
		return
	}
	b.stalled.Store(&err)
}

// pause waits where Pebble has just failed.
func (b *background) pause() {
	b.mu.Lock()
	failed := time.Since(b.failed) < retryPause
	b.mu.Unlock()
	if !failed {
		return
	}
	timer := time.NewTimer(retryPause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-b.closing:
	}
}
