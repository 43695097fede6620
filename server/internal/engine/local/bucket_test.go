package local

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// A bucket gives back its entries, however far apart their sequences are.
func TestBucket(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // It is to be the same each time.
	const highest = 1<<56 - 1
	for _, apart := range []int64{0, 1, 255, 256, 1<<24 - 1, 1 << 24, 1<<48 + 1, highest} {
		lowest := random.Int64N(highest - apart + 1)
		var entries []keyEntry
		for range 64 {
			entries = append(entries, entryOf(random.Uint64(), lowest+random.Int64N(apart+1)))
		}
		entries = append(entries, entryOf(random.Uint64(), lowest), entryOf(random.Uint64(), lowest+apart))
		entries, _ = sortEntries(entries, nil)
		form := bucketFormOf(entries)
		value := form.append(nil, entries)
		if len(value) != form.size(len(entries)) {
			t.Errorf("%d apart: %d bytes, not %d", apart, len(value), form.size(len(entries)))
		}
		bucket, err := parseBucket(value)
		if err != nil {
			t.Fatal(err)
		}
		var got []keyEntry
		for i := range bucket.count() {
			got = append(got, bucket.at(i))
		}
		if !slices.Equal(got, entries) {
			t.Errorf("%d apart: %v, not %v", apart, got, entries)
		}
	}
}

func TestBrokenBucket(t *testing.T) {
	whole := bucketFormOf([]keyEntry{{}}).append(nil, []keyEntry{{}})
	tooWide := slices.Clone(whole)
	tooWide[0] = mostSequenceBytes + 1
	for _, value := range [][]byte{nil, whole[:bucketHeader-1], whole[:len(whole)-1], tooWide} {
		if _, err := parseBucket(value); err == nil {
			t.Errorf("%x is a bucket", value)
		}
	}
}
