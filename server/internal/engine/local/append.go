package local

import (
	"context"
	"iter"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/eventlog"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
)

// appending is an append under way.
type appending struct {
	engine *Engine
	topic  *topicLog
	batch  *engine.Batch
	weight int64
	// behind is the append that this one is behind, until it has ended. nil: none.
	behind  *appending
	follows bool
	// held and failed say whether the append keeps what is behind it from being
	// stored: any batch, or one that follows. They are the committer's, once begun.
	held, failed bool

	// last is what the next record follows, once this one is stored, and folded
	// what of the index of keys is stored with it, or nil.
	last   tail
	folded *folding
	result engine.Appended
	err    error
	done   chan struct{}
}

// appendOverhead is what an append under way takes besides its data.
const appendOverhead = 1 << 10

// Start begins an append.
func (e *Engine) Start(ctx context.Context, topic *engine.Topic, batch *engine.Batch, behind engine.Append) (engine.Append, error) {
	if len(batch.Data) > e.config.MaxRecordBytes {
		return nil, engine.ErrTooLarge
	}
	a := &appending{
		engine:  e,
		batch:   batch,
		weight:  min(int64(len(batch.Data)+appendOverhead), engine.MaxBytesUnderWay),
		follows: batch.Follows,
		done:    make(chan struct{}),
	}
	a.behind, _ = behind.(*appending)
	if a.topic, a.err = e.topicLog(topic); a.err == nil && e.background.stalled.Load() != nil {
		a.err = engine.ErrFull // Whatever is changed now waits.
	}
	if a.err != nil {
		a.failed, a.behind = true, nil
		close(a.done)
		return a, nil
	}
	if !e.underWay.TryAcquire(a.weight) {
		ctx, cancel := bounded(ctx)
		defer cancel()
		if err := e.underWay.Acquire(ctx, a.weight); err != nil {
			return nil, cause(ctx)
		}
	}
	if err := e.committer.begin(ctx, a); err != nil {
		e.underWay.Release(a.weight)
		return nil, err
	}
	return a, nil
}

// Wait waits until the append has ended.
func (a *appending) Wait(ctx context.Context) (engine.Appended, error) {
	select {
	case <-a.done:
		return a.result, a.err
	default:
	}
	var late <-chan time.Time
	if _, ok := ctx.Deadline(); !ok && !a.follows { // A timer takes less than what bounded makes.
		timer := time.NewTimer(engine.CallTimeout)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-a.done:
		return a.result, a.err
	case <-ctx.Done():
		return engine.Appended{}, cause(ctx)
	case <-late:
		return engine.Appended{}, errNoAnswer
	}
}

func (a *appending) end(err error) {
	if err != nil {
		a.result, a.err = engine.Appended{}, err
	} else if a.last.last != 0 {
		if a.folded != nil {
			a.topic.gathered.folded(*a.folded)
		}
		a.engine.retention.stored(a.topic, a.topic.stored(a.last))
	}
	a.batch, a.behind, a.folded = nil, nil, nil
	a.engine.underWay.Release(a.weight)
	close(a.done)
}

// joins is true where all that is looked up is in memory.
func (a *appending) joins() bool { return len(a.batch.Expect) == 0 }

func (a *appending) prepare(b *pebble.Batch) error {
	if before := a.behind; before != nil && (before.held || a.follows && before.failed) {
		a.held, a.failed = true, true
		return engine.ErrBehind
	}
	a.failed = true // Also where it panics.
	byEvent := a.topic.entity.Load().Config.GetDedupe() == optionsv1.Dedupe_DEDUPE_EVENT
	err := a.write(b, byEvent)
	a.held, a.failed = a.batch.HoldsBack(err, byEvent, false), err != nil
	return err
}

// write is prepare without a look at what is before it.
func (a *appending) write(b *pebble.Batch, byEvent bool) error {
	t := a.topic
	if t.deleted.Load() {
		return engine.ErrTopicNotFound
	}
	if len(a.batch.Events) == 0 {
		return a.expected()
	}
	now, first := max(time.Now().UnixNano(), t.next.time), t.end
	// An identity from then or before is forgotten.
	fresh, err := a.fresh(byEvent, now-int64(engine.Window(t.entity.Load().Config)), first)
	if err != nil || a.result.Duplicate {
		return err
	}
	if err := a.expected(); err != nil {
		return err
	}
	if a.engine.disk.full(len(a.batch.Data)) {
		return engine.ErrFull
	}
	return a.store(b, first, now, fresh, byEvent)
}

// expected returns an error where something that the batch expects isn't true.
func (a *appending) expected() error {
	for i := range a.batch.Expect {
		actual, err := a.actual(&a.batch.Expect[i])
		if err != nil {
			return err
		}
		if !a.batch.Expect[i].Met(actual) {
			return &engine.SequenceError{Expectation: i, Actual: actual}
		}
	}
	return nil
}

// actual returns the sequence of the last event, durable or not, of what an
// expectation is about, or 0.
func (a *appending) actual(expectation *engine.Expectation) (int64, error) {
	t := a.topic
	switch {
	case expectation.Key != "":
		return a.engine.lastOfKey(t, expectation.Key)
	case expectation.Last == 0 && t.extentNow().first > t.next.last:
		return 0, nil // There is none now.
	default:
		return t.next.last, nil
	}
}

// store adds the record to the batch, with what finds it.
func (a *appending) store(b *pebble.Batch, first, now int64, fresh []int, byEvent bool) error {
	t, count, before := a.topic, len(a.batch.Events), b.Len()
	size, header := len(a.batch.Data), a.batch.Data[:a.batch.Head]
	if byEvent && len(fresh) < count {
		count, header = len(fresh), eventlog.AppendHeaderOf(nil, header, fresh...)
		size = len(header)
		for _, i := range fresh {
			size += len(a.batch.Bytes(a.batch.Data, i))
		}
	} else {
		fresh = nil
	}
	a.last = tail{last: first + int64(count) - 1, time: now, bytes: t.next.bytes + recordBytes(size)}
	info := recordInfo{count: count, time: now, bytes: a.last.bytes}
	hashes := hashesOf(t.uid, a.keys(count, fresh))
	info.keyed = len(hashes) > 0
	record := b.SetDeferred(numberKeySize, recordHeader+size)
	appendNumberKey(record.Key[:0], kindRecord, t.uid, first)
	info.put(record.Value)
	if data := record.Value[recordHeader:]; fresh == nil {
		copy(data, a.batch.Data)
	} else {
		n := copy(data, header)
		for _, i := range fresh {
			n += copy(data[n:], a.batch.Bytes(a.batch.Data, i))
		}
	}
	if err := record.Finish(); err != nil {
		return err
	}
	if err := a.storeIdentities(b, first, now, fresh, byEvent); err != nil {
		return err
	}
	if err := a.storeKeys(b, first, hashes); err != nil {
		return err
	}
	a.engine.disk.wrote(b.Len() - before)
	for id, known := range a.identities(first, now, fresh, byEvent) {
		a.engine.committer.recent.add(t.uid, id, known)
	}
	t.next, t.end = a.last, a.last.last+1
	return nil
}

// storeKeys gathers the entries of the record for the index of keys.
func (a *appending) storeKeys(b *pebble.Batch, first int64, hashes []uint64) error {
	t := a.topic
	if t.unindexed != nil { // Appending goes on without the index.
		return nil //nolint:nilerr // As said.
	}
	if len(t.segments) == 0 {
		if err := t.putSegment(b, folding{bytes: t.next.bytes}); err != nil {
			return err
		}
	}
	after := t.segments[len(t.segments)-1].last
	entries, size := t.gathered.add(first, hashes, a.last.bytes, after), a.last.bytes-t.folded
	switch {
	case entries >= overdue*foldEntries || size >= overdue*foldBytes:
		f := t.gathered.fold(after)
		a.folded = &f
		return t.putSegment(b, f)
	case entries >= foldEntries || size >= foldBytes:
		a.engine.folder.due.add(t)
	}
	return nil
}

// keys are the partition keys of the events of the record.
func (a *appending) keys(count int, fresh []int) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range count {
			if !yield(a.batch.Events[event(fresh, i)].Key) {
				return
			}
		}
	}
}

// event returns the index in the batch of an event of the record.
func event(fresh []int, index int) int {
	if fresh == nil {
		return index
	}
	return fresh[index]
}
