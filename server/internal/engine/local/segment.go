package local

import (
	"encoding/binary"
	"math/bits"
	"sort"

	"github.com/cockroachdb/pebble/v2"
)

const (
	// bucketEntries is how many entries a bucket is to have.
	bucketEntries = 64
	// maxBucketBits bounds the number of buckets.
	maxBucketBits = 16
	// levels is how many levels there are. Segments of the highest stay as they are.
	levels = 8
)

// segment is a part of the index of keys: the entries of the records after the
// segment before it, up to a record.
type segment struct {
	// last is the sequence of the first event of that record.
	last int64
	// count is the number of entries.
	count int
	// level is how often segments became one, below levels.
	level byte
}

// bucketBits is how many bits of a hash say which bucket it is in.
func (s segment) bucketBits() int { return min(bits.Len(uint(s.count)/bucketEntries), maxBucketBits) }

func (s segment) bucket(hash uint64) uint16 { return uint16(hash >> (64 - s.bucketBits())) }

// segmentSize is the size of the value of a segment: the level and the count.
const segmentSize = 1 + 8

func (s segment) encode() []byte {
	return binary.BigEndian.AppendUint64([]byte{s.level}, uint64(s.count))
}

func parseSegment(key, value []byte) (segment, error) {
	if len(key) != numberKeySize || len(value) != segmentSize || value[0] >= levels {
		return segment{}, errSize
	}
	return segment{last: numberOf(key), level: value[0], count: int(binary.BigEndian.Uint64(value[1:]))}, nil
}

// bucketKeySize is the size of the key of a bucket of a segment of a topic.
const bucketKeySize = numberKeySize + 2

func (s segment) appendBucketKey(b []byte, uid uint64, bucket uint16) []byte {
	return binary.BigEndian.AppendUint16(appendNumberKey(b, kindBucket+s.level, uid, s.last), bucket)
}

// bounds are those of the buckets.
func (s segment) bounds(uid uint64) (lower, upper []byte) {
	after := s
	after.last++
	return s.appendBucketKey(nil, uid, 0), after.appendBucketKey(nil, uid, 0)
}

// putBuckets stores entries, in their order, that are all those of their buckets.
func (s segment) putBuckets(b *pebble.Batch, uid uint64, entries []keyEntry) error {
	for len(entries) > 0 {
		bucket, n := s.bucket(entries[0].high), 1
		for n < len(entries) && s.bucket(entries[n].high) == bucket {
			n++
		}
		form := bucketFormOf(entries[:n])
		op := b.SetDeferred(bucketKeySize, form.size(n))
		s.appendBucketKey(op.Key[:0], uid, bucket)
		form.append(op.Value[:0], entries[:n])
		if err := op.Finish(); err != nil {
			return err
		}
		entries = entries[n:]
	}
	return nil
}

// put says that there is the segment, whose buckets are stored.
func (s segment) put(b *pebble.Batch, uid uint64) error {
	return b.Set(numberKey(kindSegment, uid, s.last), s.encode(), nil)
}

// delete deletes the segment.
func (s segment) delete(b *pebble.Batch, uid uint64) error {
	if err := s.deleteBuckets(b, uid); err != nil {
		return err
	}
	return b.Delete(numberKey(kindSegment, uid, s.last), nil)
}

func (s segment) deleteBuckets(b *pebble.Batch, uid uint64) error {
	if s.count == 0 {
		return nil
	}
	lower, upper := s.bounds(uid)
	return b.DeleteRange(lower, upper, nil)
}

// look is a look into the segments of a topic, as they are at one time.
type look struct {
	iter     *pebble.Iterator
	uid      uint64
	segments []segment // In their order.
}

// lookInto looks into the segments of a topic that end with a record or a later
// one.
func (e *Engine) lookInto(uid uint64, from int64) (l look, err error) {
	l.uid = uid
	l.iter, err = e.db.NewIter(&pebble.IterOptions{LowerBound: uidKey(kindBucket, uid), UpperBound: afterUID(kindSegment, uid)})
	if err != nil {
		return l, err
	}
	for valid := l.iter.SeekGE(numberKey(kindSegment, uid, max(from, 0))); valid && isOf(l.iter.Key(), kindSegment, uid); valid = l.iter.Next() {
		s, err := parseSegment(l.iter.Key(), l.iter.Value())
		if err != nil {
			l.close()
			return l, err
		}
		l.segments = append(l.segments, s)
	}
	if err := l.iter.Error(); err != nil {
		l.close()
		return l, err
	}
	return l, nil
}

func (l *look) close() { _ = l.iter.Close() } // Error has said it.

func isOf(key []byte, kind byte, uid uint64) bool { return key[0] == kind && uidOf(key) == uid }

// in returns the records that a segment has entries of a hash for, in their order.
func (l *look) in(s segment, hash uint64) (firsts []int64, err error) {
	if s.count == 0 {
		return nil, nil
	}
	key := s.appendBucketKey(make([]byte, 0, bucketKeySize), l.uid, s.bucket(hash))
	if !l.iter.SeekGE(key) || string(l.iter.Key()) != string(key) {
		return nil, l.iter.Error()
	}
	value, err := l.iter.ValueAndErr()
	if err != nil {
		return nil, err
	}
	entries, err := parseBucket(value)
	if err != nil {
		return nil, err
	}
	hash &= hashBits
	count := entries.count()
	for i := sort.Search(count, func(i int) bool { return entries.at(i).hash() >= hash }); i < count; i++ {
		k := entries.at(i)
		if k.hash() != hash {
			break
		}
		firsts = append(firsts, k.first())
	}
	return firsts, nil
}
