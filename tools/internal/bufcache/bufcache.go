// Package bufcache puts the Buf modules that a buf.lock names into Buf's module
// cache, from the Go modules that carry the same files, so that Buf works where
// the Buf Schema Registry can't be reached.
//
// What it writes is what Buf would have downloaded: the content is compared with
// the digest in buf.lock before anything is written, and Buf compares it again
// whenever it reads the cache.
package bufcache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"go.yaml.in/yaml/v3"
)

// A source is a Go module whose files are those of a Buf module.
type source struct {
	goModule string
	version  string
	// The path in the Go module of each file of the Buf module.
	files map[string]string
}

// The known sources by the name of the Buf module. A version here goes with the
// commit in buf.lock: whoever changes one changes the other, and the digest tells
// when they don't fit.
var sources = map[string]source{
	"buf.build/bufbuild/protovalidate": {
		goModule: "github.com/bufbuild/protovalidate",
		version:  "v1.2.0",
		files: map[string]string{
			"buf/validate/validate.proto": "proto/protovalidate/buf/validate/validate.proto",
			"LICENSE":                     "LICENSE",
			"README.md":                   "README.md",
		},
	},
}

// A lock is a buf.lock file, as far as it matters here.
type lock struct {
	Version string       `yaml:"version"`
	Deps    []dependency `yaml:"deps"`
}

// A dependency is an entry of a buf.lock.
type dependency struct {
	Name   string `yaml:"name"`
	Commit string `yaml:"commit"`
	Digest string `yaml:"digest"`
}

// Dir returns the directory in which Buf keeps its cache, by Buf's own rule:
// $BUF_CACHE_DIR, else buf in the user's cache directory, which for Buf is
// ~/.cache on macOS too.
func Dir() (string, error) {
	if dir := os.Getenv("BUF_CACHE_DIR"); dir != "" {
		return dir, nil
	}
	base := "XDG_CACHE_HOME"
	if runtime.GOOS == "windows" {
		base = "LOCALAPPDATA"
	}
	if dir := os.Getenv(base); dir != "" {
		return filepath.Join(dir, "buf"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find Buf's cache directory: %w", err)
	}
	return filepath.Join(home, ".cache", "buf"), nil
}

// Fill makes sure that cacheDir holds every module that the buf.lock at lockPath
// names and that a known Go module carries, and says on out what it did. Modules
// that are there already are left alone; a module without a known source is left
// to Buf to fetch. Nothing is written for a module whose digest differs.
func Fill(ctx context.Context, lockPath, cacheDir string, out io.Writer) error {
	deps, err := readLock(lockPath)
	if err != nil {
		return err
	}
	for _, dep := range deps {
		entry := filepath.Join(cacheDir, "v3", "modules", "b5", filepath.FromSlash(dep.Name), dep.Commit)
		if err := fill(ctx, dep, entry, out); err != nil {
			return fmt.Errorf("%s: %w", dep.Name, err)
		}
	}
	return nil
}

// FillDefault fills the cache that Buf uses here, see Dir, for the buf.lock at
// lockPath.
func FillDefault(ctx context.Context, lockPath string, out io.Writer) error {
	dir, err := Dir()
	if err != nil {
		return err
	}
	return Fill(ctx, lockPath, dir, out)
}

func fill(ctx context.Context, dep dependency, entry string, out io.Writer) error {
	switch _, err := os.Stat(filepath.Join(entry, manifestName)); {
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	src, ok := sources[dep.Name]
	if !ok {
		_, err := fmt.Fprintf(out, "%s: no Go module is known to carry it; Buf has to fetch it\n", dep.Name)
		return err
	}
	dir, err := download(ctx, src)
	if err != nil {
		return err
	}
	files, err := src.read(dir)
	if err != nil {
		return err
	}
	if got := b5Digest(files); got != dep.Digest {
		return fmt.Errorf("buf.lock wants %s, %s@%s has %s: set the version in tools/internal/bufcache "+
			"to the release with the locked content, or remove the entry there to let Buf fetch it",
			dep.Digest, src.goModule, src.version, got)
	}
	if err := write(entry, files); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s: filled Buf's cache at %s\n", dep.Name, entry)
	return err
}

func readLock(path string) ([]dependency, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var l lock
	if err := yaml.Unmarshal(data, &l); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if l.Version != "v2" {
		return nil, fmt.Errorf("%s: version is %q, want v2", path, l.Version)
	}
	for _, dep := range l.Deps {
		if dep.Name == "" || dep.Commit == "" || dep.Digest == "" {
			return nil, fmt.Errorf("%s: a dependency lacks its name, commit or digest: %+v", path, dep)
		}
	}
	return l.Deps, nil
}

// read returns the content of the Buf module's files, by their path in it.
func (s source) read(dir string) (map[string][]byte, error) {
	files := make(map[string][]byte, len(s.files))
	for name, path := range s.files {
		data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(path)))
		if err != nil {
			return nil, err
		}
		files[name] = data
	}
	return files, nil
}
