package local

import (
	"bytes"
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"example.com/tidings/server/internal/engine"
)

// journal is a writer of the journal of a subscription.
type journal struct {
	engine       *Engine
	subscription *engine.Subscription
	last         int64
}

// Journal returns the journal of a subscription.
func (e *Engine) Journal(s *engine.Subscription) engine.Journal {
	return &journal{engine: e, subscription: s}
}

// subscriber returns what is kept of a subscription, loaded.
func (e *Engine) subscriber(s *engine.Subscription) (*subscriber, error) {
	state, err := e.subscriptions.of(s)
	if err != nil {
		return nil, err
	}
	state.mu.Lock()
	defer state.mu.Unlock()
	if state.loaded {
		return state, nil
	}
	iter, err := e.db.NewIter(journalBounds(state.uid, 0, maxSequence))
	if err != nil {
		return nil, e.journalFailed(state, err)
	}
	defer iter.Close() //nolint:errcheck // Error says it.
	if iter.Last() {
		state.last = numberOf(iter.Key())
		state.seen = state.last
	}
	if err := iter.Error(); err != nil {
		return nil, e.journalFailed(state, err)
	}
	state.loaded = true
	return state, nil
}

func journalBounds(uid uint64, from, below int64) *pebble.IterOptions {
	return &pebble.IterOptions{LowerBound: numberKey(kindJournal, uid, from), UpperBound: numberKey(kindJournal, uid, below)}
}

func (e *Engine) journalFailed(s *subscriber, err error) error {
	if s.deleted.Load() { // What was looked for is gone with it.
		return engine.ErrSubscriptionNotFound
	}
	return e.failed(nil, "the journal of subscription "+s.name, err)
}

// durable returns the number of the last entry that is durable.
func (s *subscriber) durable() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

// Replay calls each with every entry that is there and hasn't been seen.
func (j *journal) Replay(ctx context.Context, each func(entry []byte) error) error {
	state, err := j.engine.subscriber(j.subscription)
	if err != nil {
		return err
	}
	for last := state.durable(); j.last < last; {
		if err := ctx.Err(); err != nil {
			return err
		}
		entries, next, err := j.chunk(state)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if err := each(entry); err != nil {
				return err
			}
		}
		j.last = next
	}
	return nil
}

// chunk returns the next entries, of which there are some, and the number of the
// last of them. Before the first of them a compaction may have removed others.
func (j *journal) chunk(state *subscriber) (entries [][]byte, next int64, err error) {
	iter, err := j.engine.db.NewIter(journalBounds(state.uid, j.last+1, maxSequence))
	if err != nil {
		return nil, 0, j.engine.journalFailed(state, err)
	}
	defer iter.Close() //nolint:errcheck // Error says it.
	next = j.last
	for valid := iter.First(); valid && len(entries) < engine.MaxEntries; valid = iter.Next() {
		number := numberOf(iter.Key())
		if number != next+1 && len(entries) > 0 {
			break
		}
		entries = append(entries, bytes.Clone(iter.Value()))
		next = number
	}
	err = iter.Error()
	if err == nil && (len(entries) == 0 || iter.Valid() && len(entries) < engine.MaxEntries) {
		err = broken(fmt.Errorf("entry %d: %w", next+1, errGap))
	}
	if err != nil || state.deleted.Load() {
		return nil, 0, j.engine.journalFailed(state, err)
	}
	return entries, next, nil
}

// Append stores entries, with dead letters and without others.
func (j *journal) Append(ctx context.Context, entries [][]byte, letters []engine.DeadLetter, gone []int64) error {
	return j.write(ctx, entries, func(batch *pebble.Batch, state *subscriber) error {
		if len(letters) == 0 && len(gone) == 0 {
			return nil
		}
		return j.engine.changeLetters(batch, state, letters, gone)
	})
}

// Compact stores entries and removes all that were before them.
func (j *journal) Compact(ctx context.Context, entries [][]byte) error {
	return j.write(ctx, entries, func(batch *pebble.Batch, state *subscriber) error {
		return batch.DeleteRange(numberKey(kindJournal, state.uid, 0), numberKey(kindJournal, state.uid, j.last+1), nil)
	})
}

// write stores entries, and what comes with them, unless another has written.
func (j *journal) write(ctx context.Context, entries [][]byte, with func(*pebble.Batch, *subscriber) error) error {
	state, err := j.engine.subscriber(j.subscription)
	if err != nil {
		return err
	}
	last := j.last
	err = j.engine.committer.do(ctx, func(batch *pebble.Batch) error {
		if state.deleted.Load() {
			return engine.ErrSubscriptionNotFound
		}
		if state.last != last {
			return j.overtaken(state, state.last)
		}
		if err := with(batch, state); err != nil {
			return err
		}
		for i, entry := range entries {
			if err := batch.Set(numberKey(kindJournal, state.uid, last+int64(i)+1), entry, nil); err != nil {
				return err
			}
		}
		state.last = last + int64(len(entries))
		return nil
	}, func() {
		state.mu.Lock()
		defer state.mu.Unlock()
		state.seen = last + int64(len(entries))
	})
	if err == nil {
		j.last = last + int64(len(entries))
	}
	return err
}

func (j *journal) overtaken(state *subscriber, last int64) error {
	return fmt.Errorf("%w: the journal of subscription %s is at %d, not at %d", engine.ErrSequence, state.name, last, j.last)
}

// Check returns engine.ErrSequence where another has written since the last
// entry that this one knows.
func (j *journal) Check(context.Context) error {
	state, err := j.engine.subscriber(j.subscription)
	if err != nil {
		return err
	}
	if last := state.durable(); last > j.last { // Replay may have seen more.
		return j.overtaken(state, last)
	}
	return nil
}
