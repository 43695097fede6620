package local

import (
	"encoding/binary"
	"math/bits"
)

// bucketForm is how a bucket of the index of keys has the sequences of its
// entries: as what they are above the lowest, in as few bytes as all of them need.
type bucketForm struct {
	lowest int64
	bytes  int
}

const (
	// bucketHeader is the size of what the value of a bucket begins with: bytes,
	// and lowest.
	bucketHeader = 1 + 8
	// hashBytes is the size of the hash of an entry, which its sequence follows.
	hashBytes = 5
	// mostSequenceBytes is what a sequence has at most, as keyEntry has it.
	mostSequenceBytes = 7
)

func bucketFormOf(entries []keyEntry) bucketForm {
	lowest, highest := entries[0].first(), entries[0].first()
	for _, k := range entries[1:] {
		lowest, highest = min(lowest, k.first()), max(highest, k.first())
	}
	return bucketForm{lowest, (bits.Len64(uint64(highest-lowest)) + 7) / 8}
}

func (f bucketForm) entrySize() int { return hashBytes + f.bytes }

// size is that of the value of a bucket with a number of entries.
func (f bucketForm) size(entries int) int { return bucketHeader + entries*f.entrySize() }

// append appends the value of a bucket with entries.
func (f bucketForm) append(b []byte, entries []keyEntry) []byte {
	b = binary.BigEndian.AppendUint64(append(b, byte(f.bytes)), uint64(f.lowest))
	for _, k := range entries {
		b = append(b, byte(k.high>>56), byte(k.high>>48), byte(k.high>>40), byte(k.high>>32), byte(k.high>>24))
		above := k.first() - f.lowest
		for i := f.bytes - 1; i >= 0; i-- {
			b = append(b, byte(above>>(8*i)))
		}
	}
	return b
}

// bucket is the value of a bucket: entries in their order.
type bucket struct {
	bucketForm
	entries []byte
}

// parseBucket leaves the entries where they are.
func parseBucket(value []byte) (bucket, error) {
	if len(value) < bucketHeader || value[0] > mostSequenceBytes {
		return bucket{}, errSize
	}
	b := bucket{bucketForm{int64(binary.BigEndian.Uint64(value[1:])), int(value[0])}, value[bucketHeader:]}
	if len(b.entries)%b.entrySize() != 0 {
		return bucket{}, errSize
	}
	return b, nil
}

func (b bucket) count() int { return len(b.entries) / b.entrySize() }

func (b bucket) at(i int) keyEntry {
	entry := b.entries[i*b.entrySize():][:b.entrySize()]
	hash := uint64(binary.BigEndian.Uint32(entry))<<32 | uint64(entry[4])<<24
	above := int64(0)
	for _, c := range entry[hashBytes:] {
		above = above<<8 | int64(c)
	}
	return entryOf(hash, b.lowest+above)
}
