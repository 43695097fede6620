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
	return e.failed(nil, "the journal of subscription "+s.name, err)
}

// written returns the number of the last entry, durable or not.
func (s *subscriber) written() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// Replay calls each with every entry that is there and hasn't been seen.
func (j *journal) Replay(ctx context.Context, each func(entry []byte) error) error {
	state, err := j.engine.subscriber(j.subscription)
	if err != nil {
		return err
	}
	last := state.written()
	for j.last < last {
		if err := ctx.Err(); err != nil {
			return err
		}
		entries, next, err := j.chunk(state, last)
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

// chunk returns the next entries up to the last one, and the number of the last
// of them. Between those that a compaction removed there are none.
func (j *journal) chunk(state *subscriber, last int64) (entries [][]byte, next int64, err error) {
	iter, err := j.engine.db.NewIter(journalBounds(state.uid, j.last+1, last+1))
	if err != nil {
		return nil, 0, j.engine.journalFailed(state, err)
	}
	defer iter.Close() //nolint:errcheck // Error says it.
	next = j.last
	for valid := iter.First(); valid; valid = iter.Next() {
		number := numberOf(iter.Key())
		if number != next+1 && len(entries) > 0 {
			return nil, 0, j.engine.journalFailed(state, broken(fmt.Errorf("entry %d: %w", next+1, errGap)))
		}
		entries = append(entries, bytes.Clone(iter.Value()))
		next = number
		if len(entries) == engine.MaxEntries {
			break
		}
	}
	if err := iter.Error(); err != nil {
		return nil, 0, j.engine.journalFailed(state, err)
	}
	select {
	case <-state.gone:
		return nil, 0, engine.ErrSubscriptionNotFound
	default:
	}
	if len(entries) == 0 { // The last one is always there.
		return nil, 0, j.engine.journalFailed(state, broken(fmt.Errorf("entry %d: %w", last, errGap)))
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
		if state.deleted {
			return engine.ErrSubscriptionNotFound
		}
		if err := j.follows(state); err != nil {
			return err
		}
		if err := with(batch, state); err != nil {
			return err
		}
		for i, entry := range entries {
			if err := batch.Set(numberKey(kindJournal, state.uid, last+int64(i)+1), entry, nil); err != nil {
				return err
			}
		}
		state.mu.Lock()
		defer state.mu.Unlock()
		state.last = last + int64(len(entries))
		return nil
	}, nil)
	if err == nil {
		j.last = last + int64(len(entries))
	}
	return err
}

// follows returns an error where another has written since the last entry that
// this one knows.
func (j *journal) follows(state *subscriber) error {
	if last := state.written(); last != j.last {
		return fmt.Errorf("%w: the journal of subscription %s is at %d, not at %d", engine.ErrSequence, state.name, last, j.last)
	}
	return nil
}

// Check returns engine.ErrSequence where another has written since the last
// entry that this one knows.
func (j *journal) Check(context.Context) error {
	state, err := j.engine.subscriber(j.subscription)
	if err != nil {
		return err
	}
	return j.follows(state)
}
