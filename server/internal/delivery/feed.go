package delivery

import (
	"context"
	"errors"
	"time"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/eventlog"
	"example.com/tidings/server/internal/filter"
	"example.com/tidings/server/internal/guard"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// feed reads the topic from the position on, filters, and has the next events
// ready. batches is filled by a goroutine of its own; the rest is the owner's.
type feed struct {
	batches chan *batch
	stop    func() // Ends the goroutine and waits for it.

	current *batch
	next    int // The next event of the current batch.
}

// batch is a run of events of the topic that the filter lets through.
type batch struct {
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
	// feedRetry is the time before a feed that failed begins anew.
	feedRetry = time.Second
)

func newFeed(o *owner) *feed {
	ctx, cancel := context.WithCancel(context.Background())
	f := &feed{batches: make(chan *batch, feedAhead)}
	r := &feedReader{
		engine:   o.hub.engine,
		topic:    o.topic,
		matcher:  o.matcher,
		byKey:    o.subscription.Config.GetOrdering() == tidingsv1.Ordering_ORDERING_KEY,
		position: o.machine.Position(),
		from:     o.machine.NotBefore().AsTime(),
		out:      f.batches,
	}
	done := make(chan struct{})
	guard.Go(func() error { return r.run(ctx) }, func(err error) {
		r.send(ctx, &batch{err: err})
		close(done)
	})
	f.stop = func() {
		cancel()
		<-done
	}
	return f
}

// started says whether there is a batch that isn't used up.
func (f *feed) started() bool { return f.current != nil }

func (f *feed) begin(b *batch) { f.current, f.next = b, 0 }

// restartFeed makes the feed begin anew at the position, when somebody wants
// events again.
func (o *owner) restartFeed() {
	if o.feed != nil {
		o.feed.stop()
		o.feed = nil
	}
}

// feedReader is what the goroutine of a feed works with.
type feedReader struct {
	engine   *engine.Engine
	topic    *engine.Topic
	matcher  *filter.Matcher
	byKey    bool
	position int64
	from     time.Time // Records that were stored before it are left out.
	out      chan<- *batch
	skipped  int
}

// run sends batches until the context ends or reading fails.
func (f *feedReader) run(ctx context.Context) error {
	first, _ := eventlog.Split(f.position)
	reader, err := f.engine.Read(ctx, f.topic, max(first, 1), time.Time{})
	if err != nil {
		return err
	}
	defer reader.Close()
	for {
		stored, err := reader.Next(ctx)
		if err != nil {
			return err
		}
		b, err := f.batch(stored)
		if err != nil {
			return err
		}
		if b != nil && !f.send(ctx, b) {
			return ctx.Err()
		}
	}
}

func (f *feedReader) send(ctx context.Context, b *batch) bool {
	select {
	case f.out <- b:
		return true
	case <-ctx.Done():
		return false
	}
}

// batch filters a record. It returns nil where there is nothing to tell yet.
func (f *feedReader) batch(stored engine.Record) (*batch, error) {
	r, err := newRecord(stored)
	if err != nil {
		return nil, err
	}
	b := &batch{record: r, position: eventlog.SequenceOf(r.sequence+1, 0)}
	if begin := eventlog.SequenceOf(r.sequence, 0); begin > f.position {
		if expected, _ := eventlog.Split(f.position); r.sequence > max(expected, 1) {
			b.gap = &tidingsv1.Gap{FirstSequence: f.position, NextSequence: begin}
		}
		f.position = begin
	}
	early := r.time.Before(f.from)
	for i, raw := range r.events {
		if eventlog.SequenceOf(r.sequence, i) < f.position {
			continue
		}
		if early {
			f.skipped++
			continue
		}
		wanted, err := f.matcher.Match(raw)
		if err != nil {
			return nil, err
		}
		if !wanted {
			f.skipped++
			continue
		}
		b.indexes = append(b.indexes, i)
		if f.byKey {
			key, err := keyHash(raw)
			if err != nil {
				return nil, err
			}
			b.keys = append(b.keys, key)
		}
	}
	f.position = b.position
	if len(b.indexes) == 0 && b.gap == nil && f.skipped < feedSkipped && stored.Pending > 0 {
		return nil, nil //nolint:nilnil // Said above.
	}
	f.skipped = 0
	return b, nil
}

// peek returns the next new event and the hash of its key, having moved the
// position past what is left out. ok is false where there is none now.
func (o *owner) peek() (e event, key uint64, ok bool, err error) {
	f := o.feed
	if f == nil {
		return event{}, 0, false, nil
	}
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
			return event{}, 0, false, o.feedFailed(b.err)
		}
		if f.next == 0 {
			if b.gap != nil {
				o.machine.Skip(b.gap.GetNextSequence(), b.gap)
				b.gap = nil
			}
			o.events.keep(b.record)
		}
		if f.next == len(b.indexes) {
			o.machine.Skip(b.position, nil)
			f.current = nil
			continue
		}
		if b.keys != nil {
			key = b.keys[f.next]
		}
		return b.record.event(b.indexes[f.next]), key, true, nil
	}
}

// feedFailed begins the feed anew, or ends the sessions where the topic is gone.
func (o *owner) feedFailed(err error) error {
	o.restartFeed()
	if errors.Is(err, engine.ErrTopicNotFound) {
		return o.reconfigure()
	}
	o.log.Warn("reading the topic", "error", err)
	o.feedAfter = time.Now().Add(feedRetry)
	return nil
}
