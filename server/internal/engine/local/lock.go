package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// dirLock holds a data directory for this process: two servers that write to
// one would destroy it. It goes with the process, however that ends.
type dirLock struct {
	// dir is the directory itself, which nobody can take away from under the
	// lock. Some network file systems lock files only.
	dir *os.File
	// file is what servers until 0.1.0 lock.
	file *os.File
}

// lockDir creates the data directory where it doesn't exist and locks it.
func lockDir(dir string) (_ *dirLock, err error) {
	l := new(dirLock)
	defer func() {
		if err != nil {
			l.close()
			err = fmt.Errorf("data directory %s: %w", dir, err)
		}
	}()
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	if l.dir, err = os.Open(dir); err != nil {
		return nil, err
	}
	if err := lock(l.dir); errors.Is(err, errLocked) {
		return nil, err
	}
	if l.file, err = os.OpenFile(filepath.Join(dir, "tidings.lock"), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, err
	}
	return l, lock(l.file)
}

// makeDir creates a directory where it doesn't exist, and those above it, on the
// disk.
func makeDir(dir string) error {
	_, err := os.Stat(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if err := makeDir(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	above, err := os.Open(parent)
	if err != nil {
		return err
	}
	return errors.Join(above.Sync(), above.Close())
}

func (l *dirLock) close() {
	_ = l.dir.Close() // Nothing was written through them, and nil has no effect.
	_ = l.file.Close()
}

var errLocked = errors.New("another server is using it")

func lock(file *os.File) error {
	err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errLocked
	}
	return err
}
