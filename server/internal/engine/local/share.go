package local

import (
	"sync/atomic"

	"example.com/tidings/server/internal/engine"
)

// maxShared bounds the data that readers leave for each other, over all topics.
const maxShared = 16 << 20

// shared is what the readers of a topic leave for each other: the records at its
// end, which all of them read at about the same time. topicLog.mu guards it.
type shared struct {
	readers int
	// recent are records that follow each other, or nil.
	recent []engine.Record
	bytes  int64
	// all counts the bytes of all topics.
	all *atomic.Int64
}

// joined takes note of a reader.
func (t *topicLog) joined(all *atomic.Int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shared.readers++
	t.shared.all = all
}

// left takes note that a reader is closed.
func (t *topicLog) left() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shared.readers--
	if t.shared.readers < 2 {
		t.shared.replace(nil)
	}
}

// leave leaves records for the other readers. They aren't changed any more.
func (t *topicLog) leave(records []engine.Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.shared.readers > 1 {
		t.shared.replace(append([]engine.Record(nil), records...))
	}
}

func (s *shared) replace(records []engine.Record) {
	s.all.Add(-s.bytes)
	s.recent, s.bytes = records, 0
	for _, record := range records {
		s.bytes += int64(len(record.Data))
	}
	if s.all.Add(s.bytes) > maxShared {
		s.all.Add(-s.bytes)
		s.recent, s.bytes = nil, 0
	}
}

// take adds to a chunk what another reader left, from the record on that begins
// with a sequence, and returns the sequence after it.
func (t *topicLog) take(chunk []engine.Record, next int64) (longer []engine.Record, after int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	longer, after = chunk, next
	for _, record := range t.shared.recent {
		if record.First == after {
			record.More = record.Last < t.seen.last
			longer, after = append(longer, record), record.Last+1
		}
	}
	return longer, after
}
