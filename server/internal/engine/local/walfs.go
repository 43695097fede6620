package local

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"example.com/tidings/server/internal/guard"
)

// walSyncInterval is how long what is in the write-ahead log may not be on the
// disk, with engine.SyncWritten.
const walSyncInterval = time.Second

// walFS is a file system that, where it is told to bring a write-ahead log to
// the disk, leaves that for later. Pebble buffers what nobody waits for in the
// process, and where somebody waits it writes and then syncs: without the sync,
// what was waited for outlives the process.
type walFS struct {
	vfs.FS

	fatal func(error)
	quit  chan struct{}
	ended guard.Group

	mu   sync.Mutex
	open map[*walFile]struct{}
}

func newWALFS(fs vfs.FS, fatal func(error)) *walFS {
	w := &walFS{FS: fs, fatal: fatal, quit: make(chan struct{}), open: make(map[*walFile]struct{})}
	w.ended.Go(w.run, func(err error) {
		if err != nil {
			fatal(err)
		}
	})
	return w
}

func (w *walFS) close() {
	close(w.quit)
	w.ended.Wait()
}

func (w *walFS) run() error {
	ticker := time.NewTicker(walSyncInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-w.quit:
			return nil
		}
		w.mu.Lock()
		files := make([]*walFile, 0, len(w.open))
		for file := range w.open {
			files = append(files, file)
		}
		w.mu.Unlock()
		for _, file := range files {
			if err := file.sync(); err != nil {
				return err
			}
		}
	}
}

func (w *walFS) wrap(name string, file vfs.File, err error) (vfs.File, error) {
	if err != nil || !strings.HasSuffix(name, ".log") {
		return file, err
	}
	wrapped := &walFile{File: file, fs: w}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open[wrapped] = struct{}{}
	return wrapped, nil
}

// Create implements vfs.FS.
func (w *walFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := w.FS.Create(name, category)
	return w.wrap(name, file, err)
}

// ReuseForWrite implements vfs.FS.
func (w *walFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := w.FS.ReuseForWrite(oldname, newname, category)
	return w.wrap(newname, file, err)
}

// Unwrap implements vfs.FS.
func (w *walFS) Unwrap() vfs.FS { return w.FS }

// walFile is a write-ahead log that is being written.
type walFile struct {
	vfs.File

	fs *walFS
	// dirty says that something isn't on the disk.
	dirty atomic.Bool

	// mu is held while the disk is at work.
	mu     sync.Mutex
	closed bool
}

// Sync implements vfs.File.
func (f *walFile) Sync() error { return f.SyncData() }

// SyncData implements vfs.File.
func (f *walFile) SyncData() error {
	f.dirty.Store(true)
	return nil
}

// sync brings to the disk what isn't there.
func (f *walFile) sync() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || !f.dirty.Swap(false) {
		return nil
	}
	return f.File.SyncData()
}

// Close implements vfs.File. The next log may be on the disk before this one
// unless this one is now.
func (f *walFile) Close() error {
	f.fs.mu.Lock()
	delete(f.fs.open, f)
	f.fs.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	if err := f.File.SyncData(); err != nil {
		return err
	}
	return f.File.Close()
}
