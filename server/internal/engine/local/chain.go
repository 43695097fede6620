package local

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/wal"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/guard"
)

// A logEnd says where the log of a store ends, as far as it can be read.
type logEnd struct {
	// commit is the number of the last commit of the store.
	commit uint64
	// log is the file in which reading ended, offset the place in it, and cause
	// why, where it wasn't the end that its writer gave it. After a crash there
	// is such an end in the last file.
	log    wal.NumWAL
	offset int64
	cause  error
	// gap is the file before which commits are missing, where there is one.
	gap wal.NumWAL
}

// findLogEnd reads the log of a store that isn't open, and changes nothing. It
// returns a *engine.DamageError where commits in the middle are missing, which
// Pebble doesn't notice: a file of the log may be gone, or the manifest be cut
// back to a time whose log is gone.
func findLogEnd(fs vfs.FS, dir string, options *pebble.Options) (logEnd, error) {
	end := logEnd{}
	flushed, err := flushedCommit(fs, dir, options)
	if err != nil {
		return end, err
	}
	end.commit = flushed
	logs, err := wal.Scan(wal.Dir{FS: fs, Dirname: dir})
	if err != nil {
		return end, err
	}
	for _, log := range logs {
		if err := end.follow(log); err != nil {
			return end, err
		}
	}
	return end, nil
}

// follow reads a file of the log.
func (e *logEnd) follow(log wal.LogicalLog) error {
	reader := log.OpenForRead()
	defer func() { _ = reader.Close() }()
	for {
		data, offset, err := reader.NextRecord()
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
			e.log, e.offset, e.cause = log.Num, offset.Physical, err
			return nil
		}
		commit, err := commitOf(batch)
		if err != nil {
			return &engine.DamageError{Place: logPlace(log.Num, offset.Physical), Cause: err}
		}
		switch {
		case commit <= e.commit:
		case commit == e.commit+1:
			e.commit = commit
			if log.Num != e.log {
				e.cause = nil // Nothing that is needed was there.
			}
		default:
			cause := fmt.Errorf("the commits %d to %d are missing before it", e.commit+1, commit-1)
			if e.cause != nil {
				cause = fmt.Errorf("%w; %s can't be read: %w", cause, logPlace(e.log, e.offset), e.cause)
			}
			e.gap = log.Num
			return &engine.DamageError{Place: logPlace(log.Num, offset.Physical), Cause: cause}
		}
	}
}

// logPlace names a place in the log.
func logPlace(log wal.NumWAL, offset int64) string {
	return fmt.Sprintf("file %s.log, byte %d", log, offset)
}

// isLogDamage reports whether an error of reading the log is about its content.
func isLogDamage(err error) bool {
	return errors.Is(err, record.ErrUnexpectedEOF) || errors.Is(err, record.ErrInvalidChunk) ||
		errors.Is(err, record.ErrZeroedChunk) || pebble.IsCorruptionError(err)
}

// commitOf returns the number of the commit that a batch is, or 0.
func commitOf(batch []byte) (uint64, error) {
	if len(batch) < batchrepr.HeaderLen {
		return 0, errors.New("a batch is cut")
	}
	reader := batchrepr.Read(batch)
	for {
		kind, key, value, ok, err := reader.Next()
		if err != nil || !ok {
			return 0, err
		}
		if kind == pebble.InternalKeyKindSet && string(key) == string(commitKey) {
			number, err := parseNumber(value)
			return uint64(number), err
		}
	}
}

// flushedCommit returns the number of the last commit that is in a store without
// its log.
func flushedCommit(fs vfs.FS, dir string, options *pebble.Options) (commit uint64, err error) {
	options = options.Clone()
	options.FS = withoutLogs{fs}
	options.ReadOnly = true
	options.EventListener = silent()
	// Pebble panics when a store is closed that had something damaged.
	return commit, openError(guard.Do(func() error {
		db, err := pebble.Open(dir, options)
		if err != nil {
			return err
		}
		commit, err = readCommit(db)
		if closeErr := guard.Do(db.Close); err == nil {
			err = closeErr
		}
		return err
	}))
}

// readCommit returns the number of the last commit of a store.
func readCommit(db pebble.Reader) (uint64, error) {
	value, closer, err := db.Get(commitKey)
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer closer.Close() //nolint:errcheck // Nothing was written.
	commit, err := parseNumber(value)
	return uint64(commit), err
}

// withoutLogs hides the files of the log.
type withoutLogs struct{ vfs.FS }

// List returns the other files.
func (f withoutLogs) List(dir string) ([]string, error) {
	names, err := f.FS.List(dir)
	kept := names[:0]
	for _, name := range names {
		if !strings.HasSuffix(name, ".log") {
			kept = append(kept, name)
		}
	}
	return kept, err
}
