package local

import (
	"cmp"
	"errors"
	"iter"
	"math"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/dchest/siphash"

	"example.com/tidings/server/internal/eventlog"
	"example.com/tidings/server/internal/eventwire"
)

// The index of keys says which records may have an event with a partition key. An
// entry is a hash of the key and the sequence of the first event of the record.
// Those of the newest records are in memory alone, and made again of the records
// after a restart. They are folded from time to time: what was gathered is sorted
// and stored as a segment, whose entries lie by their hashes in buckets, so that
// many events share a key of the store. Segments that follow each other become
// one, so that there are few to look into.

const (
	// foldEntries and foldBytes are what a topic gathers before it is folded: the
	// entries, and the records that would be read to make them again.
	foldEntries = 64 << 10
	foldBytes   = 32 << 20
	// overdue is how many times that an append waits for a fold.
	overdue = 4
)

// keyHash returns the hash of a key in the topic with a uid, which nobody outside
// knows, so that nobody can make keys whose hashes are the same.
func keyHash(uid uint64, key string) uint64 {
	return siphash.Hash(uid, ^uid, []byte(key))
}

// keyEntry is an entry of the index: 40 bits of a hash, and 56 of a sequence.
type keyEntry struct {
	high uint64 // The hash's highest, and 24 bits of the sequence.
	low  uint32
}

// hashBits are those of a hash that an entry has.
const hashBits = math.MaxUint64 &^ (1<<24 - 1)

func entryOf(hash uint64, first int64) keyEntry {
	return keyEntry{hash&hashBits | uint64(first)>>32, uint32(first)}
}

func (k keyEntry) hash() uint64 { return k.high & hashBits }

func (k keyEntry) first() int64 { return int64(k.high&^hashBits<<32 | uint64(k.low)) }

// sortEntries sorts entries by their hashes, and leaves those with the same one in
// their order. It needs memory of their size, and returns memory for another time.
func sortEntries(entries, memory []keyEntry) (sorted, rest []keyEntry) {
	memory = slices.Grow(memory[:0], len(entries))[:len(entries)]
	for shift := 24; shift < 64; shift += 8 { // By each byte of the hash, from the lowest on.
		var next [256]int
		for _, k := range entries {
			next[byte(k.high>>shift)]++
		}
		sum := 0
		for i, count := range next {
			next[i], sum = sum, sum+count
		}
		for _, k := range entries {
			at := &next[byte(k.high>>shift)]
			memory[*at] = k
			*at++
		}
		entries, memory = memory, entries
	}
	return entries, memory
}

// gathered are the entries of a topic since what was folded.
type gathered struct {
	mu      sync.Mutex
	entries []keyEntry
	// last is the sequence of the first event of the last record.
	last int64
	// bytes are those of the topic up to that record, and before those up to what
	// was folded.
	bytes, before uint64
	// complete says that nothing from before a restart is missing.
	complete bool
}

// begin makes the entries those of a topic from some bytes on. Before complete
// is called they aren't all.
func (g *gathered) begin(bytes uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.entries, g.bytes, g.before, g.complete = nil, bytes, bytes, false
}

func (g *gathered) completed() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.complete = true
}

// add gathers the entries of a record, and returns how many there are of the
// records after another, which is what was folded or is about to be.
func (g *gathered) add(first int64, hashes []uint64, bytes uint64, after int64) (entries int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, hash := range hashes {
		g.entries = append(g.entries, entryOf(hash, first))
	}
	g.last, g.bytes = first, bytes
	return len(g.entries) - g.endOf(after)
}

// endOf returns how many entries are of records up to one.
func (g *gathered) endOf(last int64) int {
	n, _ := slices.BinarySearchFunc(g.entries, last+1, func(k keyEntry, first int64) int { return cmp.Compare(k.first(), first) })
	return n
}

// size returns how many entries were gathered, and what their records take, or 0
// before they are complete.
func (g *gathered) size() (entries int, bytes uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.complete {
		return 0, 0
	}
	return len(g.entries), g.bytes - g.before
}

// fold returns what was gathered of the records after one, in the order of a
// segment, and what it goes up to: the sequence of the first event of the last
// record, and the bytes of the topic.
func (g *gathered) fold(after int64) folding {
	g.mu.Lock()
	f := folding{g.entries[g.endOf(after):], g.last, g.bytes}
	g.mu.Unlock()
	f.entries, _ = sortEntries(slices.Clone(f.entries), nil) // What is there isn't changed: only more comes.
	return f
}

// folded forgets what is in a segment now.
func (g *gathered) folded(f folding) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.entries = slices.Clone(g.entries[g.endOf(f.last):])
	g.before = max(g.before, f.bytes)
}

// of returns the records that a hash has entries for, in their order.
func (g *gathered) of(hash uint64) (firsts []int64) {
	hash &= hashBits
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, k := range g.entries {
		if k.hash() == hash {
			firsts = append(firsts, k.first())
		}
	}
	return firsts
}

// folding is what becomes a segment.
type folding struct {
	entries []keyEntry
	last    int64
	bytes   uint64
}

// recordsOf returns the first records, from one on and below another, that may
// have an event with a key, and whether there are more than the most.
func (e *Engine) recordsOf(t *topicLog, key string, from, below int64, most int) (firsts []int64, more bool, err error) {
	if t.unindexed != nil {
		return nil, false, t.unindexed
	}
	hash := keyHash(t.uid, key)
	newest := t.gathered.of(hash) // Before the segments: what is folded meanwhile is in both.
	look, err := e.lookInto(t.uid, from)
	if err != nil {
		return nil, false, err
	}
	defer look.close()
	for _, s := range look.segments {
		if len(firsts) > most {
			break
		}
		found, err := look.in(s, hash)
		if err != nil {
			return nil, false, err
		}
		firsts = append(firsts, within(found, from, below)...)
	}
	if len(firsts) <= most {
		after := from
		if n := len(firsts); n > 0 {
			after = firsts[n-1] + 1
		}
		firsts = append(firsts, within(newest, after, below)...)
	}
	if len(firsts) > most {
		return firsts[:most], true, nil
	}
	return firsts, false, nil
}

// within returns those of records, in their order, that are from one on and below
// another.
func within(firsts []int64, from, below int64) []int64 {
	start, _ := slices.BinarySearch(firsts, from)
	end, _ := slices.BinarySearch(firsts, below)
	return firsts[start:max(start, end)]
}

// lastOfKey returns the sequence of the last event of a topic with a key,
// durable or not, or 0.
func (e *Engine) lastOfKey(t *topicLog, key string) (int64, error) {
	if t.unindexed != nil {
		return 0, t.unindexed
	}
	lastIn := func(firsts []int64) (last int64, err error) {
		for _, first := range slices.Backward(firsts) {
			if last, err = e.lastIn(t, first, key); last != 0 || err != nil {
				break
			}
		}
		return last, err
	}
	hash := keyHash(t.uid, key)
	if last, err := lastIn(t.gathered.of(hash)); last != 0 || err != nil {
		return last, err
	}
	look, err := e.lookInto(t.uid, t.extentNow().first)
	if err != nil {
		return 0, e.failed(t, "the index of keys", err)
	}
	defer look.close()
	for _, s := range slices.Backward(look.segments) {
		found, err := look.in(s, hash)
		if err != nil {
			return 0, e.failed(t, "the index of keys", err)
		}
		if last, err := lastIn(found); last != 0 || err != nil {
			return last, err
		}
	}
	return 0, nil
}

// lastIn returns the sequence of the last event with a key in a record, or 0 where
// there is none or the record was removed.
func (e *Engine) lastIn(t *topicLog, first int64, key string) (int64, error) {
	value, closer, err := e.db.Get(numberKey(kindRecord, t.uid, first))
	if errors.Is(err, pebble.ErrNotFound) {
		if first < t.extentNow().first {
			return 0, nil
		}
		err = broken(errGap)
	}
	if err != nil {
		return 0, e.failed(t, eventPlace(first), err)
	}
	defer closer.Close() //nolint:errcheck // Nothing was written.
	_, data, err := parseRecord(value)
	if err != nil {
		return 0, e.damaged(t, eventPlace(first), err)
	}
	keys, err := keysOf(first, data)
	if err != nil {
		return 0, e.damaged(t, eventPlace(first), err)
	}
	for i, has := range slices.Backward(keys) {
		if has == key {
			return first + int64(i), nil
		}
	}
	return 0, nil
}

// keysOf returns the partition keys of the events of a record.
func keysOf(first int64, data []byte) ([]string, error) {
	events, err := eventlog.Events(first, data, nil)
	if err != nil {
		return nil, err
	}
	keys := make([]string, len(events))
	for i, event := range events {
		if keys[i], err = eventwire.PartitionKey(event); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// hashesOf returns the hashes of the keys of events, each once.
func hashesOf(uid uint64, keys iter.Seq[string]) (hashes []uint64) {
	for key := range keys {
		if key != "" {
			hashes = append(hashes, keyHash(uid, key))
		}
	}
	slices.Sort(hashes)
	return slices.Compact(hashes)
}
