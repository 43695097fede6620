package local

import (
	"context"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"example.com/tidings/server/internal/engine"
)

const (
	// fewestMerged and mostMerged are how many segments of a level, which follow
	// each other, become one of the next level, unless that had more than
	// maxSegment entries.
	fewestMerged = 8
	mostMerged   = 16
	maxSegment   = 4 << 20
	// mergeStep is the number of entries that are stored at once.
	mergeStep = 32 << 10
)

// toMerge returns segments that are to become one, or none: of the lowest level
// where there are enough, the oldest. So levels never increase from one segment to
// the next.
func (t *topicLog) toMerge() (sources []segment) {
	for at := 0; at < len(t.segments); {
		end, count := at, 0
		for end < len(t.segments) && end < at+mostMerged && t.segments[end].level == t.segments[at].level {
			if count += t.segments[end].count; count > maxSegment {
				break
			}
			end++
		}
		if end-at >= fewestMerged && t.segments[at].level < levels-1 && (len(sources) == 0 || t.segments[at].level < sources[0].level) {
			sources = slices.Clone(t.segments[at:end])
		}
		at = max(end, at+1)
	}
	return sources
}

// mergeSegments makes one segment of several, where there are, and reports whether
// there may be more.
func (e *Engine) mergeSegments(ctx context.Context, t *topicLog) (more bool, err error) {
	var sources []segment
	if err := e.changeTopic(ctx, t, func(*pebble.Batch) error { sources = t.toMerge(); return nil }); err != nil || len(sources) == 0 {
		return false, err
	}
	into := segment{last: sources[len(sources)-1].last, level: sources[0].level + 1}
	for _, s := range sources {
		into.count += s.count
	}
	if !e.disk.hasRoom(into.count * (hashBytes + mostSequenceBytes)) { // It is for a moment there twice.
		return false, nil
	}
	if err := e.copyEntries(ctx, t, sources, into); err != nil {
		return false, err
	}
	return true, e.changeTopic(ctx, t, func(b *pebble.Batch) error {
		at := slices.Index(t.segments, sources[0])
		if at < 0 || !slices.Equal(t.segments[at:min(at+len(sources), len(t.segments))], sources) { // Retention was there.
			return into.deleteBuckets(b, t.uid)
		}
		for _, s := range sources {
			if err := s.delete(b, t.uid); err != nil {
				return err
			}
		}
		t.segments = slices.Replace(slices.Clone(t.segments), at, at+len(sources), into)
		return into.put(b, t.uid)
	})
}

// changeTopic changes what is stored of a topic, unless it is deleted.
func (e *Engine) changeTopic(ctx context.Context, t *topicLog, plan func(b *pebble.Batch) error) error {
	return e.committer.do(ctx, func(b *pebble.Batch) error {
		if t.deleted.Load() {
			return engine.ErrTopicNotFound
		}
		return plan(b)
	}, nil)
}

// copyEntries stores the entries of segments as buckets of another.
func (e *Engine) copyEntries(ctx context.Context, t *topicLog, sources []segment, into segment) (err error) {
	var streams []*entryStream
	defer func() {
		for _, s := range streams {
			_ = s.iter.Close() // Its error has been looked at.
		}
	}()
	for _, source := range sources {
		lower, upper := source.bounds(t.uid)
		iter, err := e.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
		if err != nil {
			return err
		}
		s := &entryStream{iter: iter}
		streams = append(streams, s)
		if err := s.next(iter.First()); err != nil {
			return e.failed(t, "the index of keys", err)
		}
	}
	begun := false
	store := func(entries []keyEntry) error {
		return e.changeTopic(ctx, t, func(b *pebble.Batch) error {
			if !begun { // An earlier merge may have left some that was cut off.
				begun = true
				if err := into.deleteBuckets(b, t.uid); err != nil {
					return err
				}
			}
			return into.putBuckets(b, t.uid, entries)
		})
	}
	var entries, part, memory []keyEntry
	for highest := range 256 { // By the first byte of the hash, with those of each source in their order.
		part = part[:0]
		for _, s := range streams {
			if part, err = s.take(byte(highest), part); err != nil {
				return e.failed(t, "the index of keys", err)
			}
		}
		part, memory = sortEntries(part, memory)
		entries = append(entries, part...)
		// What shares a bucket is stored together.
		if len(entries) < mergeStep || into.bucketBits() < 8 {
			continue
		}
		if err := store(entries); err != nil {
			return err
		}
		entries = entries[:0]
	}
	return store(entries)
}

// entryStream is the entries of a segment, in their order.
type entryStream struct {
	iter *pebble.Iterator
	// bucket is where the iterator is, and at the next entry in it.
	bucket bucket
	at     int
}

// next takes the bucket that the iterator is at, where it is valid.
func (s *entryStream) next(valid bool) error {
	s.bucket, s.at = bucket{}, 0
	if !valid {
		return s.iter.Error()
	}
	value, err := s.iter.ValueAndErr()
	if err == nil {
		s.bucket, err = parseBucket(value)
	}
	if err == nil && s.bucket.count() == 0 {
		err = errSize
	}
	return err
}

// take adds the entries whose hash begins with a byte.
func (s *entryStream) take(highest byte, entries []keyEntry) ([]keyEntry, error) {
	for count := s.bucket.count(); count > 0; count = s.bucket.count() {
		for ; s.at < count; s.at++ {
			k := s.bucket.at(s.at)
			if byte(k.high>>56) != highest {
				return entries, nil
			}
			entries = append(entries, k)
		}
		if err := s.next(s.iter.Next()); err != nil {
			return entries, err
		}
	}
	return entries, nil
}
