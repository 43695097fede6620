package local

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"example.com/tidings/server/internal/engine"

	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// topicLog is what is kept of a topic while the storage is open.
type topicLog struct {
	held[*storagev1.TopicConfig]

	// next is what the next record follows, durable or not. It is the
	// committer's, once loaded.
	next tail
	// end is the sequence that the next record has. It is the committer's too.
	end int64
	// segments are those of the index of keys, in their order: one at least, once
	// there was a record. folded is the bytes of the topic up to the end of the
	// last. Both are the committer's too.
	segments []segment
	folded   uint64
	// unindexed says why the index isn't whole, so that nothing is to be found by
	// it. nil: it is.
	unindexed error
	// gathered are the entries since then. due says that they wait to be folded,
	// and grown that the segments wait to become fewer.
	gathered   gathered
	due, grown atomic.Bool

	mu     sync.Mutex
	loaded bool
	// seen is what is durable: all that anybody is told of.
	seen extent
	// more, where somebody waits, is closed once there is more.
	more   chan struct{}
	shared shared

	// revived counts the identities that were stored again.
	revived atomic.Int64
	retained
}

// extent is where the records of a topic are.
type extent struct {
	tail

	// first is the sequence of the first event, or end.
	first int64
	// end is the sequence of the next event.
	end int64
	// before is what the records that are gone took.
	before uint64
	// holes are in their order. They are replaced, not changed.
	holes []engine.Hole
}

// explains reports whether there are no events from a sequence to before another
// because retention removed them, or what they were given to was lost.
func (x *extent) explains(from, to int64) bool {
	from = max(from, x.first)
	for _, hole := range x.holes {
		if from >= hole.First && from < hole.Next {
			from = hole.Next
		}
	}
	return from >= to
}

func (e *Engine) openTopics(revisions *revisions) (*registry[*storagev1.TopicConfig, *topicLog], error) {
	return openRegistry(e.db, e.committer, revisions, kind[*storagev1.TopicConfig, *topicLog]{
		what:     "topic",
		key:      kindTopic,
		notFound: engine.ErrTopicNotFound,
		exists:   engine.ErrTopicExists,
		config:   func() *storagev1.TopicConfig { return new(storagev1.TopicConfig) },
		stamp:    func(config *storagev1.TopicConfig) { config.Format = engine.ConfigFormat },
		state:    func() *topicLog { return new(topicLog) },
		owned:    topicKinds,
		gone: func(uid uint64) {
			e.damages.healed(uid)
			e.disk.reclaimAll(topicKinds, uid)
		},
	})
}

// Topic returns a topic, or engine.ErrTopicNotFound.
func (e *Engine) Topic(_ context.Context, name string) (*engine.Topic, error) {
	return e.topics.get(name)
}

// Topics returns every topic, ordered by name.
func (e *Engine) Topics() []*engine.Topic { return e.topics.list() }

// CreateTopic creates a topic, or returns engine.ErrTopicExists.
func (e *Engine) CreateTopic(ctx context.Context, name string, config *storagev1.TopicConfig) (*engine.Topic, error) {
	return e.topics.create(ctx, name, config)
}

// UpdateTopic changes the configuration of a topic that is still at the revision
// of the given one, or returns engine.ErrRevision.
func (e *Engine) UpdateTopic(ctx context.Context, topic *engine.Topic, config *storagev1.TopicConfig) (*engine.Topic, error) {
	updated, err := e.topics.update(ctx, topic, config)
	if err == nil {
		e.retention.lookAtAll() // Of less, or for a shorter time.
	}
	return updated, err
}

// DeleteTopic deletes a topic that is still at the revision of the given one,
// with its events, or returns engine.ErrRevision.
func (e *Engine) DeleteTopic(ctx context.Context, topic *engine.Topic) error {
	return e.topics.delete(ctx, topic)
}

// TopicGone returns a channel that is closed once the topic is deleted.
func (e *Engine) TopicGone(topic *engine.Topic) <-chan struct{} { return e.topics.whenGone(topic) }

// log returns what is kept of a topic, loaded.
func (e *Engine) topicLog(topic *engine.Topic) (*topicLog, error) {
	t, err := e.topics.of(topic)
	if err != nil {
		return nil, err
	}
	return t, e.loadTopic(t)
}

// loadTopic reads where the records of a topic are, unless that is known.
func (e *Engine) loadTopic(t *topicLog) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.loaded {
		return nil
	}
	x, err := e.extent(t.uid)
	if t.deleted.Load() { // While it was read, so that it may be half.
		return engine.ErrTopicNotFound
	}
	if err != nil {
		return e.failed(t, "the first or the last event", err)
	}
	if err := e.failed(t, "the index of keys", e.gather(t, &x)); err != nil {
		if _, damaged := errors.AsType[*engine.DamageError](err); !damaged {
			return err
		}
		t.unindexed = err
	}
	t.seen, t.next, t.end, t.loaded = x, x.tail, x.end, true
	return nil
}

// extent reads where the records of a topic are.
func (e *Engine) extent(uid uint64) (x extent, err error) {
	value, closer, err := e.db.Get(uidKey(kindEnd, uid))
	switch {
	case err == nil:
		x.tail, err = parseTail(value)
		_ = closer.Close() // Nothing was written.
	case errors.Is(err, pebble.ErrNotFound):
		err = nil
	}
	if err != nil {
		return x, err
	}
	x.before = x.bytes
	if x.holes, err = e.holes(uid); err != nil {
		return x, err
	}
	iter, err := e.db.NewIter(recordBounds(uid, 0, maxSequence))
	if err != nil {
		return x, err
	}
	defer iter.Close() //nolint:errcheck // Error says it.
	if iter.Last() {
		info, data, err := parseRecord(iter.Value())
		if err != nil {
			return x, broken(err)
		}
		x.tail = tail{last: info.record(numberOf(iter.Key()), data).Last, time: info.time, bytes: info.bytes}
		x.before = x.bytes
	}
	x.end = x.last + 1
	if n := len(x.holes); n > 0 {
		x.end = max(x.end, x.holes[n-1].Next)
	}
	x.first = x.end
	if iter.First() {
		info, data, err := parseRecord(iter.Value())
		if err != nil {
			return x, broken(err)
		}
		x.first, x.before = numberOf(iter.Key()), info.bytes-recordBytes(len(data))
	}
	return x, iter.Error()
}

func (e *Engine) holes(uid uint64) (holes []engine.Hole, err error) {
	iter, err := e.db.NewIter(&pebble.IterOptions{LowerBound: uidKey(kindHole, uid), UpperBound: afterUID(kindHole, uid)})
	if err != nil {
		return nil, err
	}
	defer iter.Close() //nolint:errcheck // Error says it.
	for valid := iter.First(); valid; valid = iter.Next() {
		next, err := parseNumber(iter.Value())
		if err != nil {
			return nil, err
		}
		holes = append(holes, engine.Hole{First: numberOf(iter.Key()), Next: next})
	}
	return holes, iter.Error()
}

// extentNow returns what is durable of a topic.
func (t *topicLog) extentNow() extent {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen
}

// wait returns what is durable of a topic, and a channel that is closed once
// that is more.
func (t *topicLog) wait() (x extent, more <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.more == nil {
		t.more = make(chan struct{})
	}
	return t.seen, t.more
}

// stored says that a record is durable.
func (t *topicLog) stored(last tail) (x extent) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen.tail, t.seen.end = last, last.last+1
	if t.more != nil {
		close(t.more)
		t.more = nil
	}
	return t.seen
}

// State returns what a topic holds.
func (e *Engine) State(_ context.Context, topic *engine.Topic) (engine.State, error) {
	t, err := e.topicLog(topic)
	if err != nil {
		return engine.State{}, err
	}
	x := t.extentNow()
	state := engine.State{First: x.first, End: x.end, Bytes: int64(x.bytes - x.before), Holes: x.holes}
	if x.time != 0 {
		state.LastTime = time.Unix(0, x.time)
	}
	return state, nil
}

// Latest returns the sequence of the last event that was stored, or 0.
func (e *Engine) Latest(_ context.Context, topic *engine.Topic) (int64, error) {
	t, err := e.topicLog(topic)
	if err != nil {
		return 0, err
	}
	return t.extentNow().last, nil
}

// Count returns how many events of a topic have a sequence or a higher one.
func (e *Engine) Count(_ context.Context, topic *engine.Topic, from int64) (events int64, exact bool, err error) {
	t, err := e.topicLog(topic)
	if err != nil {
		return 0, false, err
	}
	x := t.extentNow()
	from = max(from, x.first)
	events = max(x.end-from, 0)
	for _, hole := range x.holes {
		events -= max(min(hole.Next, x.end)-max(hole.First, from), 0)
	}
	return events, true, nil
}
