package local

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLockDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	held, err := lockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	refused := func(path string) {
		t.Helper()
		if _, err := lockDir(path); !errors.Is(err, errLocked) {
			t.Errorf("%s: %v", path, err)
		}
	}
	refused(dir)
	refused(link)
	if err := os.Remove(filepath.Join(dir, "tidings.lock")); err != nil {
		t.Fatal(err)
	}
	refused(dir)
	held.close()
	again, err := lockDir(link)
	if err != nil {
		t.Fatal(err)
	}
	again.close()
}

// A server that locks the file alone keeps its directory.
func TestLockDirOfAnOlderServer(t *testing.T) {
	dir := t.TempDir()
	file, err := os.Create(filepath.Join(dir, "tidings.lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // Nothing was written.
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if _, err := lockDir(dir); !errors.Is(err, errLocked) {
		t.Errorf("it is taken: %v", err)
	}
}
