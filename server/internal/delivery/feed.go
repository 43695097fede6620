package delivery

import (
	"context"
	"time"

	"example.com/tidings/server/internal/guard"
	"example.com/tidings/server/internal/lease"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// feed has the next new events of the topic ready. It runs while somebody wants
// them: then a goroutine of its own reads the topic from the position on, filters,
// and fills batches. The rest is the owner's.
type feed struct {
	machine *lease.Machine
	cache   *cache

	batches chan *feedBatch    // nil unless it runs.
	cancel  context.CancelFunc // Ends the goroutine.
	current *feedBatch         // nil where the next one isn't begun.
	next    int                // The next event of the current batch.
	after   time.Time          // Not to be started before, after a failure.
}

// feedBatch is a run of events of a record that the filter lets through.
type feedBatch struct {
	record *record // nil where there are no events.
	// indexes are those of the events that are let through, and keys the
	// hashes of their keys where the order is by key.
	indexes []int
	keys    []uint64
	// position is what follows the batch.
	position int64
	gap      *tidingsv1.Gap // What retention removed before it.
	err      error
}

const (
	// feedAhead is the number of batches that are ready at most.
	feedAhead = 16
	// feedSkipped is the number of events that the filter leaves out before the
	// owner is told how far the feed is.
	feedSkipped = 10_000
	// feedTime is how long the filter may take before the owner is told what it
	// has decided so far, and feedLook the number of events after which it looks
	// at the clock.
	feedTime = 100 * time.Millisecond
	feedLook = 8
	// feedRetry is the time before a feed that failed begins anew.
	feedRetry = time.Second
)

// running reports whether events are read.
func (f *feed) running() bool { return f.batches != nil }

// start reads events in a goroutine of a group.
func (f *feed) start(r *feedReader, group *guard.Group) {
	ctx, cancel := context.WithCancel(context.Background())
	f.batches, f.cancel = make(chan *feedBatch, feedAhead), cancel
	r.out = f.batches
	group.Go(func() error { return r.run(ctx) }, func(err error) { r.send(ctx, &feedBatch{err: err}) })
}

// stop forgets what is ready: the feed starts again at the position. It doesn't
// wait for the goroutine, so that the owner never does.
func (f *feed) stop() {
	if !f.running() {
		return
	}
	f.cancel()
	f.batches, f.current = nil, nil
}

func (f *feed) begin(b *feedBatch) { f.current, f.next = b, 0 }

// peek returns the next new event and the hash of its key, having moved the
// position past what is left out. ok is false where there is none now. The error
// is the reader's.
func (f *feed) peek() (e event, key uint64, ok bool, err error) {
	for {
		if f.current == nil {
			select {
			case b := <-f.batches:
				f.begin(b)
			default:
				return event{}, 0, false, nil
			}
		}
		b := f.current
		if b.err != nil {
			return event{}, 0, false, b.err
		}
		if f.next == 0 {
			if b.gap != nil {
				f.machine.Skip(b.gap.GetNextSequence(), b.gap)
				b.gap = nil
			}
			f.cache.keep(b.record)
		}
		if f.next == len(b.indexes) {
			f.machine.Skip(b.position, nil)
			f.current = nil
			continue
		}
		if b.keys != nil {
			key = b.keys[f.next]
		}
		return b.record.event(b.indexes[f.next]), key, true, nil
	}
}

// pass passes the event that peek returned, which the position has passed.
func (f *feed) pass() { f.next++ }

// take passes an event that was delivered, and reports whether it is the one that
// peek returns.
func (f *feed) take(sequence int64) bool {
	b := f.current
	if b == nil || f.next >= len(b.indexes) || b.record.first+int64(b.indexes[f.next]) != sequence {
		return false
	}
	f.next++
	if f.next == len(b.indexes) {
		f.machine.Skip(b.position, nil)
		f.current = nil
	}
	return true
}
