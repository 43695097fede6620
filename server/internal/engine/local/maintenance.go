package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"example.com/tidings/server/internal/engine"
)

// Report is called while a storage is read.
type Report struct {
	// Found is called with each thing that is wrong.
	Found func(*engine.DamageError)
	// Progress is called now and then with the number of keys that were read.
	Progress func(keys int64)
}

// Contents is what a storage was found to have.
type Contents struct{ Topics, Subscriptions, Events int64 }

// Verify reads and checks everything in the data directory of a server that
// doesn't run.
func Verify(ctx context.Context, dir string, report Report) (Contents, error) {
	lock, err := lockStorage(dir)
	if err != nil {
		return Contents{}, err
	}
	defer lock.close()
	return examine(ctx, dir, report, nil)
}

// Repair makes a storage of all that can be read in the data directory of a
// server that doesn't run. What was there is kept in the directory that it
// returns. What report.Found is called with is given up, or made anew.
func Repair(ctx context.Context, dir string, report Report) (kept string, c Contents, err error) {
	lock, err := lockStorage(dir)
	if err != nil {
		return "", c, err
	}
	defer lock.close()
	path, repaired := filepath.Join(dir, storeDir), filepath.Join(dir, storeDir+".repaired")
	if err := os.RemoveAll(repaired); err != nil {
		return "", c, err
	}
	db, err := pebble.Open(repaired, maintenanceOptions())
	if err != nil {
		return "", c, err
	}
	w := &writer{db: db, batch: db.NewBatch()}
	c, err = examine(ctx, dir, report, w)
	if err = errors.Join(err, w.close()); err != nil {
		return "", c, errors.Join(err, os.RemoveAll(repaired))
	}
	kept = fmt.Sprintf("%s.damaged-%s", path, time.Now().UTC().Format("20060102T150405"))
	if err := errors.Join(os.Rename(path, kept), os.Rename(repaired, path), syncDir(vfs.Default, dir)); err != nil {
		return "", c, err
	}
	return kept, c, newMark(dir, markSlot{commit: w.commit, clean: true})
}

// newMark writes the mark of a storage that is of an earlier time.
func newMark(dir string, slot markSlot) error {
	slot.restored = true
	m, err := createMark(vfs.Default, dir, slot)
	if err != nil {
		return err
	}
	return m.file.Close()
}

// writer writes a store.
type writer struct {
	db     *pebble.DB
	batch  *pebble.Batch
	commit uint64
}

const writerBytes = 1 << 20

func (w *writer) put(key, value []byte) error {
	if string(key) == string(commitKey) {
		commit, err := parseNumber(value)
		if err != nil {
			return err
		}
		w.commit = uint64(commit)
	}
	if err := w.batch.Set(key, value, nil); err != nil {
		return err
	}
	if w.batch.Len() < writerBytes {
		return nil
	}
	if err := w.batch.Commit(pebble.NoSync); err != nil {
		return err
	}
	w.batch = w.db.NewBatch()
	return nil
}

func (w *writer) close() error {
	return errors.Join(w.batch.Commit(pebble.Sync), w.db.Flush(), w.db.Close())
}

// examine reads and checks everything, and writes it where w isn't nil.
func examine(ctx context.Context, dir string, report Report, w *writer) (c Contents, err error) {
	options := maintenanceOptions()
	f, err := inspect(vfs.Default, dir, options, bootID())
	damage, ok := errors.AsType[*engine.DamageError](err)
	switch {
	case ok:
		report.Found(damage)
	case err != nil:
		return c, err
	case f.damaged != nil:
		report.Found(&engine.DamageError{Place: markName, Cause: f.damaged})
	}
	s, err := newSurvey(ctx, vfs.Default, dir, options, err == nil, report.Found)
	if err != nil {
		return c, err
	}
	s.progress = report.Progress
	if w != nil {
		s.put = w.put
	}
	if err := s.run(); err != nil {
		return c, err
	}
	return Contents{int64(len(s.topics)), int64(len(s.subscriptions)), s.events}, nil
}

// lockStorage locks a data directory that has to have a storage.
func lockStorage(dir string) (*dirLock, error) {
	if err := refuseOldForm(dir); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, storeDir)); err != nil {
		if _, err := os.Stat(filepath.Join(dir, markName)); err == nil {
			return nil, fmt.Errorf("data directory %s has no storage any more: its directory %s is gone", dir, storeDir)
		}
		return nil, fmt.Errorf("data directory %s has no storage: %w", dir, err)
	}
	return lockDir(dir)
}

// maintenanceOptions are those of a store that no server uses.
func maintenanceOptions() *pebble.Options {
	e := &Engine{log: slog.New(slog.DiscardHandler)}
	options := e.storeOptions()
	options.EventListener = silent()
	options.FS = vfs.Default
	options.CacheSize = 8 << 20
	options.Logger = failing{}
	return options
}

// failing ends what Pebble does with a panic, where it can't go on.
type failing struct{}

func (failing) Infof(string, ...any)  {}
func (failing) Errorf(string, ...any) {}
func (failing) Fatalf(format string, args ...any) {
	panic(fmt.Errorf(format, args...)) //nolint:err113 // It is shown as it is.
}

// Restore makes the data directory of a server, which has to be empty, of a
// backup, or of a copy of the data directory of a server that didn't run.
func Restore(ctx context.Context, backup, dir string) error {
	source, err := lockStorage(backup)
	if err != nil {
		return err
	}
	defer source.close()
	last, _, err := readMark(vfs.Default, filepath.Join(backup, markName))
	if err != nil {
		return fmt.Errorf("backup %s: its file %s can't be read: %w", backup, markName, err)
	}
	names, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if len(names) > 0 {
		return fmt.Errorf("data directory %s is not empty", dir)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return err
	}
	defer lock.close()
	if err := copyFiles(ctx, filepath.Join(backup, storeDir), filepath.Join(dir, storeDir)); err != nil {
		return err
	}
	// Without a mark, what is only half there isn't opened.
	return newMark(dir, last)
}

// copyFiles copies a directory of files, onto the disk.
func copyFiles(ctx context.Context, from, to string) error {
	names, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := copyFile(filepath.Join(from, name.Name()), filepath.Join(to, name.Name())); err != nil {
			return err
		}
	}
	return errors.Join(syncDir(vfs.Default, to), syncDir(vfs.Default, filepath.Dir(to)))
}

func copyFile(from, to string) (err error) {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close() //nolint:errcheck // Nothing was written.
	target, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Sync(), target.Close())
}
