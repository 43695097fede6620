package local

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/guard"
)

const (
	// foldInterval is how often it is looked at what all topics have gathered, and
	// maxGathered and maxGatheredBytes are what they may have then: it is made
	// again after a restart.
	foldInterval     = time.Second
	maxGathered      = 4 * foldEntries
	maxGatheredBytes = 2 * foldBytes
)

// folder folds the index of keys in the background, and makes one segment of
// several.
type folder struct {
	engine *Engine
	ctx    context.Context //nolint:containedctx // It ends with close, as its goroutines do.
	cancel context.CancelFunc
	ended  guard.Group
	// due are topics that have gathered enough, and grown those with another
	// segment.
	due, grown topicQueue
}

func startFolder(e *Engine) *folder {
	f := &folder{
		engine: e,
		due:    topicQueue{make(chan *topicLog, maxGroup), func(t *topicLog) *atomic.Bool { return &t.due }},
		grown:  topicQueue{make(chan *topicLog, maxGroup), func(t *topicLog) *atomic.Bool { return &t.grown }},
	}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	f.ended.Go(f.run, guard.Log(e.log, "the index of keys"))
	f.ended.Go(f.merge, guard.Log(e.log, "the index of keys"))
	return f
}

func (f *folder) close() {
	f.cancel()
	f.ended.Wait()
}

// topicQueue has topics, each of them once.
type topicQueue struct {
	topics chan *topicLog
	// queued says of a topic that it is there.
	queued func(t *topicLog) *atomic.Bool
}

// add adds a topic, unless too many wait.
func (q topicQueue) add(t *topicLog) {
	queued := q.queued(t)
	if queued.Swap(true) {
		return
	}
	select {
	case q.topics <- t:
	default:
		queued.Store(false) // It comes again with the next append or fold.
	}
}

func (f *folder) run() error {
	ticker := time.NewTicker(foldInterval)
	defer ticker.Stop()
	for {
		select {
		case t := <-f.due.topics:
			f.fold(t)
			t.due.Store(false)
		case <-ticker.C:
			f.foldLargest()
		case <-f.ctx.Done():
			return nil
		}
	}
}

func (f *folder) merge() error {
	for {
		select {
		case t := <-f.grown.topics:
			t.grown.Store(false)
			for more := true; more && f.ctx.Err() == nil; {
				f.do(t, func() (err error) { more = false; more, err = f.engine.mergeSegments(f.ctx, t); return err })
			}
		case <-f.ctx.Done():
			return nil
		}
	}
}

func (f *folder) fold(t *topicLog) {
	f.do(t, func() error { return f.engine.fold(f.ctx, t) })
	f.grown.add(t)
}

func (f *folder) do(t *topicLog, work func() error) {
	err := guard.Do(work)
	if err != nil && f.ctx.Err() == nil && !errors.Is(err, engine.ErrTopicNotFound) {
		f.engine.log.Error("the index of keys", "topic", t.name, "error", err)
	}
}

// foldLargest folds topics, those with most first, where all have gathered too
// much.
func (f *folder) foldLargest() {
	type size struct {
		topic   *topicLog
		entries int
		bytes   uint64
	}
	var sizes []size
	var all size
	for _, t := range f.engine.topics.states() {
		s := size{topic: t}
		if s.entries, s.bytes = t.gathered.size(); s.bytes > 0 {
			all.entries, all.bytes = all.entries+s.entries, all.bytes+s.bytes
			sizes = append(sizes, s)
		}
	}
	part := func(s size) float64 {
		return max(float64(s.entries)/maxGathered, float64(s.bytes)/maxGatheredBytes)
	}
	if part(all) <= 1 {
		return
	}
	slices.SortFunc(sizes, func(a, b size) int { return cmp.Compare(part(b), part(a)) })
	for _, s := range sizes {
		if part(all) <= 0.5 || f.ctx.Err() != nil {
			return
		}
		f.fold(s.topic)
		all.entries, all.bytes = all.entries-s.entries, all.bytes-s.bytes
	}
}

// fold stores what a topic has gathered as a segment.
func (e *Engine) fold(ctx context.Context, t *topicLog) error {
	f := t.gathered.fold(0)
	return e.committer.do(ctx, func(batch *pebble.Batch) error {
		if t.deleted.Load() {
			return engine.ErrTopicNotFound
		}
		return t.putSegment(batch, f)
	}, func() { t.gathered.folded(f) })
}

// putSegment stores a segment, without what was folded meanwhile. It belongs to
// prepare.
func (t *topicLog) putSegment(batch *pebble.Batch, f folding) error {
	if n := len(t.segments); n > 0 {
		newest := t.segments[n-1]
		if f.last <= newest.last {
			return nil
		}
		f.entries = slices.DeleteFunc(f.entries, func(k keyEntry) bool { return k.first() <= newest.last })
		if newest.count == 0 { // It said what was folded.
			if err := newest.delete(batch, t.uid); err != nil {
				return err
			}
			t.segments = t.segments[:n-1]
		}
	}
	s := segment{last: f.last, count: len(f.entries)}
	t.segments, t.folded = append(t.segments, s), f.bytes
	return errors.Join(s.putBuckets(batch, t.uid, f.entries), s.put(batch, t.uid))
}

// dropSegments deletes the segments that end before a record. That of the newest
// stays, without entries, since it says what was folded. It belongs to prepare.
func (t *topicLog) dropSegments(batch *pebble.Batch, before int64) error {
	n, count, highest := 0, 0, byte(0)
	for ; n < len(t.segments) && t.segments[n].last < before; n++ {
		count += t.segments[n].count
		highest = max(highest, t.segments[n].level)
	}
	if count == 0 {
		return nil
	}
	for _, s := range t.segments[:n] {
		if err := batch.Delete(numberKey(kindSegment, t.uid, s.last), nil); err != nil {
			return err
		}
	}
	rest := slices.Clone(t.segments[n:])
	if len(rest) == 0 {
		rest = []segment{{last: t.segments[n-1].last}}
		if err := rest[0].put(batch, t.uid); err != nil {
			return err
		}
	}
	t.segments = rest
	for level := range min(highest+2, levels) { // And what a merge has left that was cut off.
		lower, upper := segment{level: level}, segment{level: level, last: before}
		if err := batch.DeleteRange(lower.appendBucketKey(nil, t.uid, 0), upper.appendBucketKey(nil, t.uid, 0), nil); err != nil {
			return err
		}
	}
	return nil
}
