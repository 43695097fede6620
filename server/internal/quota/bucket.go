package quota

import (
	"sync/atomic"
	"time"
)

// window is how much may be used at once: as much as is allowed in this time.
const window = time.Second

// began is what times are counted from, so that they are monotonic.
var began = time.Now()

// now is the time, in nanoseconds.
func now() int64 { return int64(time.Since(began)) }

// bucket allows a rate, by the generic cell rate algorithm: all it knows is until when
// what was taken is paid for. So it needs no lock, the rate may change at any time, one
// request may be larger than what may be used at once, and where nothing is owed it is
// as good as new.
type bucket struct{ paid atomic.Int64 }

// owed is how long it takes, at a time, until something may be taken. 0: it may now.
func owed(paid, at int64) time.Duration {
	return max(0, time.Duration(paid-at)-window)
}

// wait returns how long it takes until something may be taken.
func (b *bucket) wait(at int64) time.Duration { return owed(b.paid.Load(), at) }

// idle reports whether nothing was taken that isn't paid for.
func (b *bucket) idle(at int64) bool { return b.paid.Load() <= at }

// take takes as much unless something is owed, and returns how long that is.
func (b *bucket) take(at, amount, rate int64) time.Duration {
	for {
		paid := b.paid.Load()
		if wait := owed(paid, at); wait > 0 {
			return wait
		}
		if b.paid.CompareAndSwap(paid, max(paid, at)+cost(amount, rate)) {
			return 0
		}
	}
}

// reserve takes as much, and returns how long it takes until it may be used.
func (b *bucket) reserve(at, amount, rate int64) time.Duration {
	for {
		paid := b.paid.Load()
		if b.paid.CompareAndSwap(paid, max(paid, at)+cost(amount, rate)) {
			return owed(paid, at)
		}
	}
}

// cost is what an amount costs, in nanoseconds. Amounts are those of one request.
func cost(amount, rate int64) int64 { return amount * int64(time.Second) / rate }

// traffic is what goes in one direction.
type traffic struct{ events, bytes bucket }

// wait returns how long it takes until something may go.
func (t *traffic) wait(at int64, limits Limits) (ofEvents, ofBytes time.Duration) {
	if limits.Events > 0 {
		ofEvents = t.events.wait(at)
	}
	if limits.Bytes > 0 {
		ofBytes = t.bytes.wait(at)
	}
	return ofEvents, ofBytes
}

// reserve takes as much, and returns how long it takes until it may go.
func (t *traffic) reserve(at int64, events, bytes int, limits Limits) (ofEvents, ofBytes time.Duration) {
	if limits.Events > 0 {
		ofEvents = t.events.reserve(at, int64(events), limits.Events)
	}
	if limits.Bytes > 0 {
		ofBytes = t.bytes.reserve(at, int64(bytes), limits.Bytes)
	}
	return ofEvents, ofBytes
}

func (t *traffic) idle(at int64) bool { return t.events.idle(at) && t.bytes.idle(at) }
