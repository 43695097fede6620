package local

import (
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/sync/semaphore"

	"example.com/tidings/server/internal/engine"
)

// maxChunkRecords and maxChunkBytes bound what a reader has read and not
// returned: there is always one record, and then others while these hold.
const (
	maxChunkRecords = 64
	maxChunkBytes   = 64 << 10
)

// largeChunk is the size of a chunk after which a reader takes turns.
const largeChunk = 4 * maxChunkBytes

// turns are those of the readers of large records. Reading these is work of the
// processors and of the garbage collector, and many at once would leave nothing
// of them to those who publish.
var turns = semaphore.NewWeighted(int64(max(1, runtime.GOMAXPROCS(0)/2)))

// reader reads a chunk of records at a time, so that one that nobody asks holds
// little, and nothing of the store.
type reader struct {
	engine *Engine
	topic  *topicLog
	key    string
	// notBefore is the time that records have to be stored at or after.
	notBefore time.Time
	// next is the sequence after what was read, and from where the record begins
	// that holds it.
	next, from int64
	more       bool
	// chunk is what was read and not returned.
	chunk  []engine.Record
	large  bool // What was read last is.
	closed bool
}

// Read opens a reader.
func (e *Engine) Read(_ context.Context, topic *engine.Topic, from engine.ReadFrom) (engine.Reader, error) {
	t, err := e.topicLog(topic)
	if err != nil {
		return nil, err
	}
	x := t.extentNow()
	r := &reader{engine: e, topic: t, key: from.Key, notBefore: from.Time, next: from.Sequence}
	if !from.Time.IsZero() {
		if r.next, err = e.firstAt(t, &x, from.Time); err != nil {
			return nil, err
		}
	}
	r.next = max(r.next, 1)
	r.more = max(r.next, x.first) <= x.last
	r.from = r.next
	if r.key != "" && r.more {
		if r.from, err = e.beginOf(t, r.next); err != nil {
			return nil, err
		}
		if r.more, err = r.anyOfKey(&x); err != nil {
			return nil, err
		}
	}
	t.joined(&e.shared)
	return r, nil
}

// More reports whether records were there when the reader was opened.
func (r *reader) More() bool { return r.more }

// Close ends the reader.
func (r *reader) Close() {
	if !r.closed {
		r.closed, r.chunk = true, nil
		r.topic.left()
	}
}

// Next waits for the next record.
func (r *reader) Next(ctx context.Context) (engine.Record, error) {
	for {
		for len(r.chunk) > 0 {
			record := r.chunk[0]
			r.chunk[0] = engine.Record{}
			r.chunk = r.chunk[1:]
			if !record.Time.Before(r.notBefore) {
				return record, nil
			}
		}
		select {
		case <-r.topic.gone:
			return engine.Record{}, engine.ErrTopicNotFound
		case <-ctx.Done():
			return engine.Record{}, ctx.Err()
		default:
		}
		x := r.topic.extentNow()
		if r.next >= x.end {
			if err := r.wait(ctx); err != nil {
				return engine.Record{}, err
			}
			continue
		}
		if err := r.inTurn(ctx, &x); err != nil {
			return engine.Record{}, err
		}
	}
}

// wait waits for more than what was read.
func (r *reader) wait(ctx context.Context) error {
	x, more := r.topic.wait()
	if r.next < x.end {
		return nil
	}
	select {
	case <-more:
		return nil
	case <-r.topic.gone:
		return engine.ErrTopicNotFound
	case <-ctx.Done():
		return ctx.Err()
	}
}

// inTurn fills the chunk, in turn with others where the one before was large.
func (r *reader) inTurn(ctx context.Context, x *extent) error {
	if r.large {
		if err := turns.Acquire(ctx, 1); err != nil {
			return err
		}
		defer turns.Release(1)
	}
	err := r.fill(x)
	size := 0
	for i := range r.chunk {
		size += len(r.chunk[i].Data)
	}
	r.large = size >= largeChunk
	return err
}

// fill reads a chunk of what is there, or finds that there is nothing.
func (r *reader) fill(x *extent) error {
	r.chunk = r.chunk[:0]
	var err error
	switch {
	case r.key != "":
		err = r.readKey(x)
	default:
		if r.chunk, r.next = r.topic.take(r.chunk, r.next); len(r.chunk) > 0 {
			return nil
		}
		if err = r.read(x); r.next == x.end {
			r.topic.leave(r.chunk)
		}
	}
	if err == nil || len(r.chunk) > 0 { // Whoever asks again finds the error again.
		return nil
	}
	return r.engine.failed(r.topic, eventPlace(r.next), err)
}

// read reads the records that follow.
func (r *reader) read(x *extent) error {
	iter, err := r.engine.db.NewIter(recordBounds(r.topic.uid, 0, x.end))
	if err != nil {
		return err
	}
	defer iter.Close() //nolint:errcheck // Error says it.
	valid := iter.SeekGE(numberKey(kindRecord, r.topic.uid, r.next))
	if iter.Error() == nil && (!valid || numberOf(iter.Key()) != r.next) {
		valid, err = r.holder(iter, valid)
		if err != nil {
			return err
		}
	}
	for size := 0; valid; valid = iter.Next() {
		record, err := recordAt(iter)
		if err != nil {
			return err
		}
		if record.First > r.next {
			if err := r.skip(record.First); err != nil {
				return err
			}
		}
		r.next = record.Last + 1
		record.More = record.Last < x.last
		r.chunk = append(r.chunk, record)
		size += len(record.Data)
		if len(r.chunk) >= maxChunkRecords || size >= maxChunkBytes {
			break // Going on would read a record in vain.
		}
	}
	if err := iter.Error(); err != nil || len(r.chunk) > 0 {
		return err
	}
	return r.skip(x.end)
}

// holder moves an iterator that is at the first record after the next event, or
// at none, to the record that holds the event, where there is one.
func (r *reader) holder(iter *pebble.Iterator, valid bool) (bool, error) {
	if iter.SeekLT(numberKey(kindRecord, r.topic.uid, r.next)) {
		info, data, err := parseRecord(iter.Value())
		if err != nil {
			return false, broken(err)
		}
		if info.record(numberOf(iter.Key()), data).Last >= r.next {
			return true, nil
		}
	}
	if err := iter.Error(); err != nil || !valid {
		return false, err
	}
	return iter.SeekGE(numberKey(kindRecord, r.topic.uid, r.next)), nil
}

// skip leaves out events that aren't there, up to before a sequence. It returns
// an error where they should be.
func (r *reader) skip(to int64) error {
	x := r.topic.extentNow()
	if !x.explains(r.next, to) {
		return broken(errGap)
	}
	r.next = to
	return nil
}

// readKey reads the records that follow and may have an event with the key, and
// says where there are no more.
func (r *reader) readKey(x *extent) error {
	firsts, more, err := r.candidates(x)
	if err != nil {
		return err
	}
	if r.topic.deleted.Load() { // Then these may not be all.
		return engine.ErrTopicNotFound
	}
	size := 0
	for i, first := range firsts {
		if len(r.chunk) > 0 && size >= maxChunkBytes {
			return nil
		}
		value, closer, err := r.engine.db.Get(numberKey(kindRecord, r.topic.uid, first))
		if errors.Is(err, pebble.ErrNotFound) {
			if now := r.topic.extentNow(); first < now.first { // Removed meanwhile.
				r.next = max(r.next, first+1)
				r.from = r.next
				continue
			}
			err = broken(errGap)
		}
		if err != nil {
			return err
		}
		record, err := recordIn(first, value)
		_ = closer.Close() // Nothing was written.
		if err != nil {
			return err
		}
		r.next = record.Last + 1
		r.from = r.next
		record.More = more || i < len(firsts)-1 || r.next < x.end
		r.chunk = append(r.chunk, record)
		size += len(record.Data)
	}
	if !more && r.next < x.end { // Which says what was looked at.
		now := r.topic.extentNow() // It isn't known what was removed before.
		r.chunk = append(r.chunk, engine.Record{First: max(r.next, min(now.first, x.end)), Last: x.end - 1})
		r.next, r.from = x.end, x.end
	}
	return nil
}

// candidates returns the next records that may have an event with the key, and
// whether there are more.
func (r *reader) candidates(x *extent) (firsts []int64, more bool, err error) {
	return r.engine.recordsOf(r.topic, r.key, max(r.from, x.first), x.end, maxChunkRecords)
}

// anyOfKey reports whether there is an event to read.
func (r *reader) anyOfKey(x *extent) (bool, error) {
	firsts, more, err := r.candidates(x)
	if err != nil {
		return false, r.engine.failed(r.topic, eventPlace(r.next), err)
	}
	for _, first := range firsts {
		if last, err := r.engine.lastIn(r.topic, first, r.key); err != nil || last >= r.next {
			return err == nil, err
		}
	}
	return more, nil
}
