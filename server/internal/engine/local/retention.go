package local

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/guard"
)

const (
	// retentionInterval is how often it is looked for what has become old.
	retentionInterval = time.Second
	// retentionRest is how long nothing is removed after something was.
	retentionRest = 10 * time.Millisecond
	// retentionPause is how long a topic is left alone whose events can't be
	// removed.
	retentionPause = time.Minute
	// maxDropped and maxDroppedBytes bound the records that are removed in one
	// step, and maxForgotten the identities, but for those that were stored
	// together.
	maxDropped      = 1000
	maxDroppedBytes = 4 << 20
	maxForgotten    = 4096
	// minRange is the number of keys from which on they are deleted as a range.
	minRange = 32
)

// retention removes old events and identities in the background, a step at a
// time, topic by topic.
type retention struct {
	engine *Engine
	ctx    context.Context //nolint:containedctx // It ends with close, as its goroutine does.
	cancel context.CancelFunc
	ended  guard.Group
	// woken has something where there may be something to do, and all says that
	// every topic is to be looked at.
	woken chan struct{}
	all   atomic.Bool

	mu sync.Mutex
	// large are topics that are above their size.
	large []*topicLog
}

// retained is what retention knows of a topic. Only its goroutine uses it,
// except for large.
type retained struct {
	// large says that it is among large.
	large atomic.Bool
	// pause is the time until which the topic is left alone.
	pause time.Time
	// oldest is when the record with the first event oldestOf was stored, in
	// nanoseconds since 1970.
	oldest, oldestOf int64
	// forgotten is the sequence below which there are no identities, and
	// remembered when the first after it was stored, or 0 where there is none
	// below rememberedEnd.
	forgotten, remembered, rememberedEnd int64
}

func startRetention(e *Engine) *retention {
	r := &retention{engine: e, woken: make(chan struct{}, 1)}
	r.all.Store(true)
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.ended.Go(r.run, guard.Log(e.log, "removing old events"))
	return r
}

func (r *retention) close() {
	r.cancel()
	r.ended.Wait()
}

// lookAtAll has every topic looked at now.
func (r *retention) lookAtAll() {
	r.all.Store(true)
	r.wake()
}

func (r *retention) wake() {
	select {
	case r.woken <- struct{}{}:
	default:
	}
}

// stored takes note of what a topic holds after an append.
func (r *retention) stored(t *topicLog, x extent) {
	size := t.entity.Load().Config.GetRetention().GetMaxBytes()
	if size == 0 || x.bytes-x.before <= uint64(size) || t.large.Swap(true) {
		return
	}
	r.mu.Lock()
	r.large = append(r.large, t)
	r.mu.Unlock()
	r.wake()
}

func (r *retention) run() error {
	ticker := time.NewTicker(retentionInterval)
	defer ticker.Stop()
	for {
		// A panic is about one topic, and isn't to keep the others from shrinking.
		if err := guard.Do(func() error { r.look(r.waiting()); return nil }); err != nil {
			r.engine.log.Error("removing old events", "error", err)
		}
		select { // What comes meanwhile is removed together.
		case <-time.After(retentionRest):
		case <-r.ctx.Done():
			return nil
		}
		select {
		case <-ticker.C:
			r.all.Store(true)
		case <-r.woken:
		case <-r.ctx.Done():
			return nil
		}
	}
}

// waiting returns the topics to look at.
func (r *retention) waiting() []*topicLog {
	r.mu.Lock()
	topics := r.large
	r.large = nil
	r.mu.Unlock()
	for _, t := range topics {
		t.large.Store(false)
	}
	if r.all.Swap(false) {
		return r.engine.topics.states()
	}
	return topics
}

// look removes what is to be removed of topics now.
func (r *retention) look(topics []*topicLog) {
	now := time.Now()
	for len(topics) > 0 {
		rest := topics[:0]
		for _, t := range topics {
			if r.ctx.Err() != nil {
				return
			}
			if t.pause.After(now) {
				continue
			}
			more, err := r.step(t, now)
			if err != nil && r.ctx.Err() == nil && !errors.Is(err, engine.ErrTopicNotFound) {
				t.pause = now.Add(retentionPause)
				r.engine.log.Error("removing old events", "topic", t.name, "error", err)
			}
			if more && err == nil {
				rest = append(rest, t)
			}
		}
		topics = rest
	}
}

// step removes some of what is to be removed of a topic, and reports whether
// there may be more.
func (r *retention) step(t *topicLog, now time.Time) (more bool, err error) {
	if err := r.engine.loadTopic(t); err != nil {
		return false, err
	}
	dropped, err := r.engine.dropOld(r.ctx, t, now)
	if err != nil {
		return false, err
	}
	forgotten, err := r.engine.forget(r.ctx, t, now)
	return dropped || forgotten, err
}

// limits are what the records of a topic have to be within.
type limits struct {
	// since is the time, in nanoseconds since 1970, up to which records are old,
	// and bytes what they may take. 0: there is no such limit.
	since int64
	bytes uint64
}

func limitsOf(t *topicLog, now time.Time) (l limits) {
	config := t.entity.Load().Config.GetRetention()
	if age := config.GetMaxAge(); age != nil {
		l.since = now.Add(-age.AsDuration()).UnixNano()
	}
	l.bytes = uint64(config.GetMaxBytes())
	return l
}

// over reports whether a record is to be removed, which takes a number of bytes.
// The newest one is never too large.
func (l limits) over(x *extent, record recordInfo, last int64, size uint64) bool {
	return l.since != 0 && record.time <= l.since ||
		l.bytes != 0 && last < x.last && x.bytes-record.bytes+size > l.bytes
}

// dropped are records to be removed: those of a topic up to before a sequence.
type dropped struct {
	records []int64 // Their first sequences.
	next    int64
	bytes   uint64
}

// dropOld removes some of the records that are to be removed, and reports
// whether there may be more.
func (e *Engine) dropOld(ctx context.Context, t *topicLog, now time.Time) (more bool, err error) {
	x, limits := t.extentNow(), limitsOf(t, now)
	large := limits.bytes != 0 && x.bytes-x.before > limits.bytes
	old := limits.since != 0 && (t.oldestOf != x.first || t.oldest <= limits.since)
	if x.first == x.end || !large && !old {
		return false, nil
	}
	d, more, err := e.old(t, &x, limits)
	if err != nil || len(d.records) == 0 {
		return false, err
	}
	return more, e.committer.do(ctx, func(batch *pebble.Batch) error { return t.drop(batch, d) }, func() {
		e.disk.reclaim(numberKey(kindRecord, t.uid, d.records[0]), numberKey(kindRecord, t.uid, d.next))
	})
}

// old finds some of the records that are to be removed.
func (e *Engine) old(t *topicLog, x *extent, limits limits) (d dropped, more bool, err error) {
	iter, err := e.db.NewIter(recordBounds(t.uid, x.first, x.end))
	if err != nil {
		return d, false, e.failed(t, eventPlace(x.first), err)
	}
	defer iter.Close() //nolint:errcheck // Error says it.
	d.next = x.first
	size := 0
	for valid := iter.First(); valid; valid = iter.Next() {
		first := numberOf(iter.Key())
		info, data, err := parseRecord(iter.Value())
		if err != nil {
			return d, false, e.damaged(t, eventPlace(first), err)
		}
		last := first + int64(info.count) - 1
		if !limits.over(x, info, last, recordBytes(len(data))) {
			t.oldest, t.oldestOf = info.time, first
			return d, false, iter.Error()
		}
		if len(d.records) == maxDropped || size >= maxDroppedBytes {
			return d, true, iter.Error()
		}
		d.records, d.next, d.bytes = append(d.records, first), last+1, info.bytes
		size += len(data)
	}
	return d, false, e.failed(t, eventPlace(d.next), iter.Error())
}

// drop removes records. It belongs to prepare.
func (t *topicLog) drop(batch *pebble.Batch, d dropped) error {
	if t.deleted.Load() {
		return engine.ErrTopicNotFound
	}
	if err := deleteKeys(batch, kindRecord, t.uid, d.records); err != nil {
		return err
	}
	if err := t.dropSegments(batch, d.next); err != nil {
		return err
	}
	if d.next > t.next.last { // None is left.
		if err := batch.Set(uidKey(kindEnd, t.uid), t.next.encode(), nil); err != nil {
			return err
		}
	}
	// Whoever finds them missing has to know already.
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen.first, t.seen.before = d.next, d.bytes
	for _, hole := range t.seen.holes {
		if hole.First <= t.seen.first && t.seen.first < hole.Next {
			t.seen.first = hole.Next
		}
	}
	return nil
}

// deleteKeys deletes the keys of a kind, a uid and numbers, between which there
// are none. They are in their order.
func deleteKeys(batch *pebble.Batch, kind byte, uid uint64, numbers []int64) error {
	if len(numbers) >= minRange {
		return batch.DeleteRange(numberKey(kind, uid, numbers[0]), numberKey(kind, uid, numbers[len(numbers)-1]+1), nil)
	}
	for _, number := range numbers {
		if err := batch.Delete(numberKey(kind, uid, number), nil); err != nil {
			return err
		}
	}
	return nil
}
