package local

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/wal"

	"example.com/tidings/server/internal/engine"
)

// found is what a data directory was found to hold before its store was opened.
type found struct {
	// commit is the number of the store's last commit.
	commit uint64
	// jump says that the store is of an earlier time than what clients may have
	// seen: no sequence after its last ones may be given out.
	jump bool
	// lost is how many acknowledged commits are missing, where they may be, and
	// restored says that those after a backup are.
	lost     uint64
	restored bool
	// rest is where the log has what is to be removed from it, because what
	// comes before is lost: nil where it has nothing.
	rest *logEnd
	// damaged is what is wrong with the mark, where it says enough all the same.
	damaged error
}

// inspect looks for what is missing in a data directory, and returns a
// *engine.DamageError where that can't be explained: opened as it is, the store
// would lose events, or give out sequences twice. It changes nothing.
func inspect(fs vfs.FS, dir string, options *pebble.Options, boot string) (found, error) {
	store := fs.PathJoin(dir, storeDir)
	exists, err := storeExists(fs, store)
	if err != nil {
		return found{}, err
	}
	last, damaged, err := readMark(fs, fs.PathJoin(dir, markName))
	switch {
	case errors.Is(err, errNoMark) && !exists:
		return found{}, nil
	case errors.Is(err, errNoMark), err != nil && damaged == nil && isContent(err):
		return found{}, damage(markName, fmt.Errorf("%w: so it isn't known whether something is missing", err))
	case err != nil:
		return found{}, err
	case !exists && last.commit == 0 && !last.restored:
		return found{damaged: damaged}, nil
	case !exists:
		return found{}, damage(storeDir, errors.New("there is none, but there was one"))
	}
	return compare(fs, store, options, last, damaged, boot)
}

// compare compares a store with its mark.
func compare(fs vfs.FS, store string, options *pebble.Options, last markSlot, damaged error, boot string) (found, error) {
	end, err := findLogEnd(fs, store, options)
	f := found{commit: end.commit, jump: last.restored, restored: last.restored, damaged: damaged}
	if last.commit > end.commit {
		f.lost = last.commit - end.commit
	}
	// What wasn't on the disk is lost with the memory of the machine, and the mark
	// may be of a time before.
	if forgotten := last.written && !last.clean && (boot == "" || boot != last.boot); forgotten {
		f.jump = true
		switch {
		case end.gap != 0:
			f.rest, f.lost, err = &end, max(f.lost, 1), nil
		case err == nil && end.cause != nil:
			f.rest = &end
		}
		return f, err
	}
	if err != nil || f.lost == 0 {
		return f, err
	}
	cause := fmt.Errorf("the commits %d to %d are missing, which were acknowledged", end.commit+1, last.commit)
	if end.cause != nil {
		cause = fmt.Errorf("%w; %s can't be read: %w", cause, logPlace(end.log, end.offset), end.cause)
	}
	return f, damage("log", cause)
}

// storeExists reports whether there is a store. A directory that has some of the
// files of one, but isn't one, is damage, unless it may be from a start that was
// cut off.
func storeExists(fs vfs.FS, store string) (bool, error) {
	names, err := fs.List(store)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	desc, err := pebble.Peek(store, fs)
	if err != nil {
		return false, openError(err)
	}
	if desc.Exists {
		return true, nil
	}
	for _, name := range names {
		// The format is written last when a store is made.
		if strings.HasSuffix(name, ".sst") || strings.HasPrefix(name, "marker.format-version.") {
			return false, damage(storeDir, errors.New("the file is missing that says which manifest counts"))
		}
	}
	return false, nil
}

// cutLog removes from the log of a store what is behind its end.
func cutLog(fs vfs.FS, store string, end logEnd) error {
	logs, err := wal.Scan(wal.Dir{FS: fs, Dirname: store})
	if err != nil {
		return err
	}
	for _, log := range logs {
		_, path := log.SegmentLocation(0)
		switch {
		case end.cause != nil && log.Num == end.log:
			err = cutFile(fs, path, end.offset)
		case end.cause != nil && log.Num > end.log, end.gap != 0 && log.Num >= end.gap:
			err = fs.Remove(path)
		}
		if err != nil {
			return err
		}
	}
	return syncDir(fs, store)
}

// cutFile makes a file shorter, in one step.
func cutFile(fs vfs.FS, path string, size int64) (err error) {
	from, err := fs.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	temporary := path + ".new"
	to, err := fs.Create(temporary, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, io.NewSectionReader(from, 0, size))
	if err == nil {
		err = to.Sync()
	}
	if err := errors.Join(err, to.Close()); err != nil {
		return err
	}
	return fs.Rename(temporary, path)
}

// openError says of an error of opening a store whether the store is damaged. It
// isn't where the machine lacks something.
func openError(err error) error {
	if err == nil || !isContent(err) {
		return err
	}
	return damage(storeDir, err)
}

// isContent reports whether an error is about what is on the disk, rather than
// about what the process may do.
func isContent(err error) bool {
	errno, ok := errors.AsType[syscall.Errno](err)
	return !ok || errno == syscall.ENOENT || errno == syscall.EIO
}

// silent takes what Pebble says of a store that is only looked at: what it
// returns says it too.
func silent() *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: func(error) {},
		DataCorruption:  func(pebble.DataCorruptionInfo) {},
	}
}

// damage is the error of a data directory that isn't to be opened.
func damage(place string, cause error) error {
	if e, ok := errors.AsType[*engine.DamageError](cause); ok {
		return e
	}
	return &engine.DamageError{Place: place, Cause: cause}
}
