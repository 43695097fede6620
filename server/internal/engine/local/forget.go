package local

import (
	"context"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"example.com/tidings/server/internal/engine"
)

// forgotten are identities to be removed, in the order in which they were
// stored.
type forgotten struct {
	stored []int64 // The first sequences of those that were stored together.
	ids    []storedID
}

// storedID is an identity and the sequence that it was stored with.
type storedID struct {
	id       engine.ID
	sequence int64
}

// forget removes some of the identities of a topic that are older than its
// window, and reports whether there may be more. They are independent of the
// records, which may have been removed long before.
func (e *Engine) forget(ctx context.Context, t *topicLog, now time.Time) (more bool, err error) {
	oldest := now.Add(-engine.Window(t.entity.Load().Config)).UnixNano()
	end := t.extentNow().end
	if t.remembered > oldest || t.remembered == 0 && t.rememberedEnd == end {
		return false, nil
	}
	revived := t.revived.Load()
	f, more, err := e.expired(t, end, oldest)
	if err != nil || len(f.stored) == 0 {
		return false, err
	}
	if f.ids, err = e.stale(t, f.ids); err != nil {
		return false, err
	}
	err = e.committer.do(ctx, func(batch *pebble.Batch) (err error) {
		if t.deleted.Load() {
			return engine.ErrTopicNotFound
		}
		if t.revived.Load() != revived { // It may be one of these.
			if f.ids, err = e.stale(t, f.ids); err != nil {
				return err
			}
		}
		for _, stored := range f.ids {
			if err := batch.Delete(appendIdentityKey(nil, t.uid, stored.id), nil); err != nil {
				return err
			}
		}
		return deleteKeys(batch, kindExpiry, t.uid, f.stored)
	}, nil)
	if err == nil {
		t.forgotten = f.stored[len(f.stored)-1] + 1
	}
	return more, err
}

// expired finds some of the identities that were stored at a time or before,
// with sequences below an end.
func (e *Engine) expired(t *topicLog, end, oldest int64) (f forgotten, more bool, err error) {
	iter, err := e.db.NewIter(&pebble.IterOptions{
		LowerBound: numberKey(kindExpiry, t.uid, t.forgotten), UpperBound: numberKey(kindExpiry, t.uid, end),
	})
	if err != nil {
		return f, false, e.failed(t, "the identities", err)
	}
	defer iter.Close() //nolint:errcheck // Error says it.
	for valid := iter.First(); valid; valid = iter.Next() {
		at, ids, err := parseExpiry(iter.Value())
		if err != nil {
			return f, false, e.failed(t, "the identities", err)
		}
		if at > oldest || len(f.ids) >= maxForgotten {
			t.remembered = at
			return f, at <= oldest, nil
		}
		first := numberOf(iter.Key())
		f.stored = append(f.stored, first)
		for i := 0; i < len(ids); i += idSize {
			f.ids = append(f.ids, storedID{engine.ID(ids[i : i+idSize]), first + int64(i/idSize)})
		}
	}
	t.remembered, t.rememberedEnd = 0, end
	return f, false, e.failed(t, "the identities", iter.Error())
}

// stale returns those of identities that weren't stored again later.
func (e *Engine) stale(t *topicLog, ids []storedID) ([]storedID, error) {
	iter, err := e.db.NewIter(nil)
	if err != nil {
		return nil, e.failed(t, "the identities", err)
	}
	defer iter.Close() //nolint:errcheck // Error says it.
	var key [identityKeySize]byte
	kept := ids[:0]
	for _, stored := range ids {
		known, ok, err := seekIdentity(iter, &key, t.uid, stored.id)
		if err != nil {
			return nil, e.failed(t, "an identity", err)
		}
		if ok && known.sequence == stored.sequence {
			kept = append(kept, stored)
		}
	}
	return kept, nil
}
