package bufcache

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
)

const (
	// manifestName is the file by which Buf recognises a complete entry.
	manifestName = "module.yaml"
	filesDir     = "files"
	manifest     = "version: v1\nfiles_dir: " + filesDir + "\n"
)

// write stores a module as an entry of the cache. Each file appears whole or not
// at all, and the one that makes the entry valid comes last, so a run that is cut
// short, or another one at the same time, never leaves an entry that looks
// complete and isn't.
func write(entry string, files map[string][]byte) error {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(entry, filesDir, filepath.FromSlash(name))
		if err := writeFile(entry, path, files[name]); err != nil {
			return err
		}
	}
	return writeFile(entry, filepath.Join(entry, manifestName), []byte(manifest))
}

// writeFile writes through a temporary file in the entry itself: beside the
// destination, a left-over would count as a file of the module.
func writeFile(entry, path string, data []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	temp, err := os.CreateTemp(entry, ".fill-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temp.Name())
		}
	}()
	if _, err := temp.Write(data); err != nil {
		_ = temp.Close()
		return err
	}
	if err := temp.Chmod(0o644); err != nil {
		_ = temp.Close()
		return err
	}
	if err := temp.Close(); err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}
