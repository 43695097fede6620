package local

import (
	"context"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

// gather makes the entries again that were in memory alone, and all of a topic
// that an earlier release has written, which had another index.
func (e *Engine) gather(t *topicLog, x *extent) error {
	t.gathered.begin(x.bytes)
	t.folded = x.bytes
	look, err := e.lookInto(t.uid, 0)
	if err != nil {
		return err
	}
	look.close()
	t.segments = look.segments
	based, folded := len(t.segments) > 0, int64(0)
	if based {
		folded = t.segments[len(t.segments)-1].last
	}
	if x.first == x.end {
		t.gathered.completed()
		return nil
	}
	if !based {
		e.log.Info("the index of keys is made: a release until 0.2.0 has written the topic, or a repair", "topic", t.name)
	}
	iter, err := e.db.NewIter(recordBounds(t.uid, folded+1, x.end))
	if err != nil {
		return err
	}
	defer iter.Close() //nolint:errcheck // Error says it.
	begun := false
	for valid := iter.First(); valid; valid = iter.Next() {
		first := numberOf(iter.Key())
		info, data, err := parseRecord(iter.Value())
		if err != nil {
			return broken(err)
		}
		if !begun {
			begun, t.folded = true, info.bytes-recordBytes(len(data))
			t.gathered.begin(t.folded)
		}
		var hashes []uint64
		if info.keyed {
			keys, err := keysOf(first, data)
			if err != nil {
				return broken(err)
			}
			hashes = hashesOf(t.uid, slices.Values(keys))
		}
		if t.gathered.add(first, hashes, info.bytes, 0) >= foldEntries && !based {
			if err := e.fold(context.Background(), t); err != nil {
				return err
			}
		}
	}
	if err := iter.Error(); err != nil {
		return err
	}
	t.gathered.completed()
	if based {
		return nil
	}
	return e.replaceIndex(t)
}

// replaceIndex folds the rest of a topic that an earlier release has written, and
// deletes the index that it had. The last record gets the form of this release, so
// that the earlier one refuses the topic and doesn't take its keys for unknown.
func (e *Engine) replaceIndex(t *topicLog) error {
	f := t.gathered.fold(0)
	key := numberKey(kindRecord, t.uid, f.last)
	value, closer, err := e.db.Get(key)
	if err != nil {
		return err
	}
	defer closer.Close() //nolint:errcheck // Nothing was written.
	return e.committer.do(context.Background(), func(batch *pebble.Batch) error {
		if err := batch.Set(key, append([]byte{recordFormat}, value[1:]...), nil); err != nil {
			return err
		}
		if err := batch.DeleteRange(uidKey(kindOldKey, t.uid), afterUID(kindOldKey, t.uid), nil); err != nil {
			return err
		}
		return t.putSegment(batch, f)
	}, func() { t.gathered.folded(f) })
}
