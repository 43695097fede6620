package delivery

import (
	"context"
	"errors"
	"time"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/filter"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// feed reads the topic from the position on, filters, and has the next events
// ready. batches is filled by a goroutine of its own; the rest is the owner's.
type feed struct {
	batches chan *batch
	// stop ends the goroutine. It doesn't wait, so that the owner never does.
	stop func()

	current *batch
	next    int // The next event of the current batch.
}

// batch is a run of events of a record that the filter lets through.
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
	// feedTime is how long the filter may take before the owner is told what it
	// has decided so far, and feedLook the number of events after which it looks
	// at the clock.
	feedTime = 100 * time.Millisecond
	feedLook = 8
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
	f.stop = cancel
	o.hub.ended.Go(func() error { return r.run(ctx) }, func(err error) { r.send(ctx, &batch{err: err}) })
	return f
}

// started reports whether there is a batch that isn't used up.
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
	engine   engine.Engine
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
	// Below it there has never been an event.
	f.position = max(f.position, f.engine.Features().FirstSequence)
	reader, err := f.engine.Read(ctx, f.topic, engine.ReadFrom{Sequence: f.position})
	if err != nil {
		return err
	}
	defer reader.Close()
	for {
		stored, err := reader.Next(ctx)
		if err != nil {
			return err
		}
		if err := f.take(ctx, stored); err != nil {
			return err
		}
	}
}

func (f *feedReader) send(ctx context.Context, b *batch) {
	select {
	case f.out <- b:
	case <-ctx.Done():
	}
}

// take filters a record and sends what is to be told of it.
func (f *feedReader) take(ctx context.Context, stored engine.Record) error {
	r, err := newRecord(stored)
	if err != nil {
		return err
	}
	b := &batch{record: r}
	if r.first > f.position {
		b.gap = &tidingsv1.Gap{FirstSequence: f.position, NextSequence: r.first}
		f.position = r.first
	}
	early, begun := r.time.Before(f.from), time.Now()
	for i, raw := range r.events {
		sequence := r.first + int64(i)
		if sequence < f.position {
			continue
		}
		if err := f.filter(ctx, b, i, raw, early); err != nil {
			return err
		}
		if i%feedLook == 0 && time.Since(begun) > feedTime {
			b.position = sequence + 1
			f.pass(ctx, b)
			b, begun = &batch{record: r}, time.Now()
		}
	}
	b.position = r.last + 1
	if len(b.indexes) == 0 && b.gap == nil && f.skipped < feedSkipped && stored.More {
		f.position = b.position
		return ctx.Err() // There is nothing to tell yet.
	}
	f.pass(ctx, b)
	return ctx.Err()
}

// pass sends a batch.
func (f *feedReader) pass(ctx context.Context, b *batch) {
	f.position, f.skipped = b.position, 0
	f.send(ctx, b)
}

// filter adds an event of a record to the batch if it is to be delivered.
func (f *feedReader) filter(ctx context.Context, b *batch, index int, raw []byte, early bool) error {
	wanted := false
	if !early {
		var err error
		if wanted, err = f.matcher.Match(ctx, raw); err != nil {
			return err
		}
	}
	if !wanted {
		f.skipped++
		return nil
	}
	b.indexes = append(b.indexes, index)
	if !f.byKey {
		return nil
	}
	key, err := keyHash(raw)
	b.keys = append(b.keys, key)
	return err
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
