package delivery

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/lease"

	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

const (
	// maxChunk bounds an entry of the journal.
	maxChunk = 512 << 10
	// minSnapshotAfter is how much a journal grows before it is compacted.
	minSnapshotAfter = 4 << 20
	// compactTimeout bounds compacting.
	compactTimeout = 10 * time.Second
)

// journal stores what a machine decides.
type journal struct {
	engine.Journal

	chunkBytes   int // The size of an entry, about.
	written      int // The bytes since the last snapshot.
	snapshotSize int // The bytes of the last snapshot.
}

// newJournal returns the journal of a subscription.
func newJournal(e engine.Engine, s *engine.Subscription) *journal {
	return &journal{Journal: e.Journal(s), chunkBytes: min(maxChunk, e.MaxRecordBytes()/2)}
}

// restore brings what the journal has into a machine.
func (j *journal) restore(ctx context.Context, m *lease.Machine) error {
	entry := new(storagev1.JournalEntry)
	return j.Replay(ctx, func(encoded []byte) error {
		j.written += len(encoded)
		proto.Reset(entry)
		if err := proto.Unmarshal(encoded, entry); err != nil {
			return err
		}
		return m.ApplyEntry(entry)
	})
}

// write stores changes of a machine, at least one, and with them, where the
// engine can, its dead letters. Where the journal has become long it is compacted.
func (j *journal) write(ctx context.Context, m *lease.Machine, changes []*storagev1.JournalChange, letters deadLetterChanges) error {
	entries, size, err := encodeEntries(lease.Entries(changes, j.chunkBytes))
	if err != nil {
		return err
	}
	if err := j.Append(ctx, entries, letters.put, letters.gone); err != nil {
		return err
	}
	j.written += size
	if j.written < max(minSnapshotAfter, 2*j.snapshotSize) {
		return nil
	}
	return j.compact(m)
}

// compact replaces the journal by the state of a machine.
func (j *journal) compact(m *lease.Machine) error {
	ctx, cancel := context.WithTimeout(context.Background(), compactTimeout)
	defer cancel()
	entries, size, err := encodeEntries(m.Snapshot(j.chunkBytes))
	if err != nil {
		return err
	}
	if err := j.Compact(ctx, entries); err != nil {
		return err
	}
	j.written, j.snapshotSize = size, size
	return nil
}

// grown reports whether the journal is longer than a snapshot.
func (j *journal) grown() bool { return j.written > j.snapshotSize }

func encodeEntries(entries []*storagev1.JournalEntry) (encoded [][]byte, size int, err error) {
	for _, entry := range entries {
		one, err := proto.Marshal(entry)
		if err != nil {
			return nil, 0, err
		}
		encoded = append(encoded, one)
		size += len(one)
	}
	return encoded, size, nil
}
