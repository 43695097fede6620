package local

import (
	"bytes"
	queue "container/heap"
	"context"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/wal"

	"example.com/tidings/server/internal/guard"
)

// version is a key with a value, or its end, at a time: a later one has a higher
// sequence.
type version struct {
	key      []byte
	sequence pebble.SeqNum
	kind     pebble.InternalKeyKind
	value    []byte
}

// loss is keys of a file that can't be read: those after start and before end.
// nil: from the first on, or to the last.
type loss struct {
	file       string
	start, end []byte
	cause      error
}

// A source has versions, ordered by key, and of a key the latest first.
type source interface {
	// next returns the next version. ok is false at the end.
	next() (v version, ok bool)
	close()
}

// tableSource is the versions in a table, as far as they can be read.
type tableSource struct {
	reader *sstable.Reader
	iter   sstable.Iterator
	lost   func(loss)
	file   string
	begun  bool
	last   []byte
	span   keyRange
}

// openTable opens a table. Deleted ranges go to deleted, and what can't be read
// to lost.
func openTable(fs vfs.FS, dir string, t table, options *pebble.Options, span keyRange, deleted func(version), lost func(loss)) (source, error) {
	file, err := fs.Open(fs.PathJoin(dir, t.name))
	if err != nil {
		return nil, err
	}
	reader, err := openReader(knownFile{file, t.bad}, options)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	s := &tableSource{reader: reader, lost: lost, file: t.name, span: span}
	if err := guard.Do(func() error { return readDeletedRanges(reader, deleted) }); err != nil {
		lost(loss{file: t.name, cause: fmt.Errorf("its deleted ranges: %w", err)})
	}
	if err := guard.Do(func() error {
		s.iter, err = reader.NewIter(sstable.NoTransforms, span.start, span.end, sstable.AssertNoBlobHandles)
		return err
	}); err != nil {
		return nil, errors.Join(err, guard.Do(reader.Close))
	}
	return s, nil
}

// readDeletedRanges calls deleted with each range that a table says is deleted.
func readDeletedRanges(reader *sstable.Reader, deleted func(version)) error {
	iter, err := reader.NewRawRangeDelIter(context.Background(), sstable.NoFragmentTransforms, sstable.NoReadEnv)
	if err != nil || iter == nil {
		return err
	}
	defer iter.Close()
	span, err := iter.First()
	for ; span != nil; span, err = iter.Next() {
		for _, key := range span.Keys {
			deleted(version{
				key: bytes.Clone(span.Start), value: bytes.Clone(span.End),
				sequence: key.SeqNum(), kind: pebble.InternalKeyKindRangeDelete,
			})
		}
	}
	return err
}

func (s *tableSource) next() (v version, ok bool) {
	var err error
	if err = guard.Do(func() error { v, ok, err = s.step(); return err }); err == nil {
		s.last = v.key
		return v, ok
	}
	start := s.last
	cause := err
	v, ok = s.skip()
	s.lost(loss{file: s.file, start: start, end: v.key, cause: cause})
	s.last = v.key
	return v, ok
}

func (s *tableSource) step() (version, bool, error) {
	if !s.begun {
		s.begun = true
		return s.seek(s.span.start)
	}
	kv := s.iter.Next()
	if kv == nil {
		return version{}, false, s.iter.Error()
	}
	value, _, err := kv.Value(nil)
	return makeVersion(kv.K, value), err == nil, err
}

// seek returns the first version of a key at or after one.
func (s *tableSource) seek(key []byte) (version, bool, error) {
	kv := s.iter.SeekGE(key, 0)
	if kv == nil {
		return version{}, false, s.iter.Error()
	}
	value, _, err := kv.Value(nil)
	return makeVersion(kv.K, value), err == nil, err
}

func makeVersion(key pebble.InternalKey, value []byte) version {
	return version{
		key: bytes.Clone(key.UserKey), value: bytes.Clone(value),
		sequence: key.SeqNum(), kind: key.Kind(),
	}
}

// skip goes to the first key behind what can't be read after the last one.
func (s *tableSource) skip() (v version, ok bool) {
	// Which keys are in a block isn't known, so it is searched for: low is of
	// what can't be read, and high isn't.
	low, high := s.span.start, s.span.end
	if s.last != nil {
		low = s.last
	}
	for range maxSearch {
		middle := between(low, high)
		if middle == nil {
			break
		}
		if err := guard.Do(func() error { _, _, err := s.seek(middle); return err }); err != nil {
			low = middle
		} else {
			high = middle
		}
	}
	err := guard.Do(func() (err error) { v, ok, err = s.seek(high); return err })
	return v, ok && err == nil
}

// maxSearch bounds the steps of a search among keys, and searchBytes their part
// that matters.
const (
	maxSearch   = 8 * searchBytes
	searchBytes = 64
)

// between returns a key about halfway between two, or nil where there is none of
// searchBytes beyond what they have in common.
func between(low, high []byte) []byte {
	common := 0
	for common < len(low) && common < len(high) && low[common] == high[common] {
		common++
	}
	size := common + searchBytes
	number := func(key []byte) *big.Int {
		padded := make([]byte, size)
		copy(padded, key)
		return new(big.Int).SetBytes(padded)
	}
	l, h := number(low), number(high)
	middle := new(big.Int).Add(l, h)
	middle.Rsh(middle, 1)
	if middle.Cmp(l) <= 0 || middle.Cmp(h) >= 0 {
		return nil
	}
	return middle.FillBytes(make([]byte, size))
}

func (s *tableSource) close() {
	// Nothing was written, and a damaged table may fail once more.
	_ = guard.Do(func() error { return errors.Join(s.iter.Close(), s.reader.Close()) })
}

// memorySource is versions in memory.
type memorySource struct{ versions []version }

func (s *memorySource) next() (v version, ok bool) {
	if len(s.versions) == 0 {
		return v, false
	}
	v, s.versions = s.versions[0], s.versions[1:]
	return v, true
}

func (s *memorySource) close() {}

func compareVersions(a, b version) int {
	if c := bytes.Compare(a.key, b.key); c != 0 {
		return c
	}
	switch {
	case a.sequence > b.sequence:
		return -1
	case a.sequence < b.sequence:
		return 1
	default:
		return 0
	}
}

// readLog calls each with every batch of a file of the log that can be read, and
// where it begins, and broken with each place where reading had to skip what
// isn't a batch. The end of the file may be such a place.
func readLog(fs vfs.FS, path string, number wal.NumWAL, each func(batch []byte, offset int64), broken func(offset int64, err error)) (err error) {
	const block = 32 << 10
	file, err := fs.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	for from := int64(0); from < info.Size(); {
		reader := newLogReader(record.NewReader, io.NewSectionReader(file, from, info.Size()-from), number)
		var offset int64
		for {
			offset = from + reader.Offset()
			data, err := reader.Next()
			var batch []byte
			if err == nil {
				batch, err = io.ReadAll(data)
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				if !isLogDamage(err) {
					return err
				}
				broken(offset, err)
				break
			}
			each(batch, offset)
		}
		// A batch may begin in the next block.
		from = (offset/block + 1) * block
	}
	return nil
}

// newLogReader converts the number of a log, whose type Pebble doesn't export.
func newLogReader[T ~uint64](open func(io.Reader, T) *record.Reader, r io.Reader, number wal.NumWAL) *record.Reader {
	return open(r, T(number))
}

// batchVersions appends the versions that a batch writes.
func batchVersions(batch []byte, to []version) ([]version, error) {
	header, ok := batchrepr.ReadHeader(batch)
	if !ok {
		return to, errors.New("a batch is cut")
	}
	reader := batchrepr.Read(batch)
	for sequence := header.SeqNum; ; {
		kind, key, value, ok, err := reader.Next()
		if err != nil || !ok {
			return to, err
		}
		if kind == pebble.InternalKeyKindLogData {
			continue
		}
		to = append(to, version{key: key, value: value, kind: kind, sequence: sequence})
		sequence++
	}
}

// merged is the latest versions of keys from several sources.
type merged struct {
	heads heads
	// deleted are the deleted ranges that haven't begun yet, ordered by key, and
	// open those that have.
	deleted, open []version
	last          []byte
}

// merge merges sources, with what says which ranges of keys are deleted.
func merge(sources []source, deleted []version) *merged {
	m := &merged{deleted: slices.SortedFunc(slices.Values(deleted), compareVersions)}
	for _, s := range sources {
		m.push(s)
	}
	return m
}

func (m *merged) push(s source) {
	if v, ok := s.next(); ok {
		queue.Push(&m.heads, head{v, s})
	}
}

// next returns the next key that isn't deleted, with its value.
func (m *merged) next() (key, value []byte, ok bool) {
	for len(m.heads) > 0 {
		top := m.heads[0]
		if v, ok := top.source.next(); ok {
			m.heads[0].version = v
			queue.Fix(&m.heads, 0)
		} else {
			queue.Pop(&m.heads)
		}
		v := top.version
		if m.last != nil && bytes.Equal(v.key, m.last) {
			continue // An earlier version.
		}
		m.last = v.key
		if isValue(v.kind) && !m.isDeleted(v) {
			return v.key, v.value, true
		}
	}
	return nil, nil, false
}

func isValue(kind pebble.InternalKeyKind) bool {
	return kind == pebble.InternalKeyKindSet || kind == pebble.InternalKeyKindSetWithDelete
}

func (m *merged) isDeleted(v version) bool {
	for len(m.deleted) > 0 && bytes.Compare(m.deleted[0].key, v.key) <= 0 {
		m.open = append(m.open, m.deleted[0])
		m.deleted = m.deleted[1:]
	}
	m.open = slices.DeleteFunc(m.open, func(d version) bool { return bytes.Compare(d.value, v.key) <= 0 })
	return slices.ContainsFunc(m.open, func(d version) bool { return d.sequence > v.sequence })
}

// head is the next version of a source.
type head struct {
	version version
	source  source
}

// heads is a heap.
type heads []head //nolint:recvcheck // heap.Interface wants it so.

func (h heads) Len() int           { return len(h) }
func (h heads) Less(i, j int) bool { return compareVersions(h[i].version, h[j].version) < 0 }
func (h heads) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *heads) Push(x any) { *h = append(*h, x.(head)) } //nolint:forcetypeassert // Only push calls it.

// Pop implements heap.Interface.
func (h *heads) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
