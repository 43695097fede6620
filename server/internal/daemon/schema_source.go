package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"example.com/tidings/server/internal/compat"
)

// schemaSource is what --schemas names: a file with an image, or a directory with
// a buf.yaml that Buf builds.
type schemaSource struct {
	path string
	// buf builds directories. nil: there is none.
	buf *compat.Checker
}

// read returns the image. An error that it will have again as long as nothing
// changes wraps compat.ErrSources.
func (s schemaSource) read(ctx context.Context) ([]byte, error) {
	if !isDir(s.path) {
		return os.ReadFile(s.path)
	}
	if !isFile(filepath.Join(s.path, "buf.yaml")) && !isFile(filepath.Join(s.path, "buf.work.yaml")) {
		return nil, fmt.Errorf("%w: the directory %s has no buf.yaml: name one that has, or the file of a Buf image or a FileDescriptorSet", compat.ErrSources, s.path)
	}
	if s.buf == nil {
		return nil, fmt.Errorf("%w: %s is a directory, which Buf builds, and the server has been given none: set buf, or build an image (buf build %s -o FILE) and name that", compat.ErrSources, s.path, s.path)
	}
	return s.buf.Build(ctx, s.path)
}

func isDir(path string) bool {
	stat, err := os.Stat(path)
	return err == nil && stat.IsDir()
}

func isFile(path string) bool {
	stat, err := os.Stat(path)
	return err == nil && stat.Mode().IsRegular()
}

// maxFollowed bounds the directories that are followed in a source: each takes
// memory of the kernel.
const maxFollowed = 10_000

var errTooManyDirectories = fmt.Errorf("more than %d directories in it: changes in some will be missed", maxFollowed)

// directories returns what has to be followed to see that the source changes: the
// directory that it is in, since files and directories are replaced by others of
// the same name or are links through ones that are, and those that it holds. Hidden
// ones, installed packages and the one that is left out hold no schemas.
func (s schemaSource) directories(leftOut string) (list []string, err error) {
	list = []string{filepath.Dir(filepath.Clean(s.path))}
	if !isDir(s.path) {
		return list, nil
	}
	root := s.path + string(filepath.Separator) // Which may be a link.
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil //nolint:nilerr // It is gone, or nobody may read it.
		case !entry.IsDir():
			return nil
		case path != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "node_modules" || samePath(path, leftOut)):
			return fs.SkipDir
		case len(list) > maxFollowed:
			return errTooManyDirectories
		}
		list = append(list, filepath.Clean(path))
		return nil
	})
	return list, err
}

// concerns reports whether the source may be another one after a change of what
// has a path. Much else may happen in the directories that are followed.
func (s schemaSource) concerns(path string) bool {
	if !isDir(s.path) {
		return true
	}
	root, path := filepath.Clean(s.path), filepath.Clean(path)
	if path == root {
		return true
	}
	if inside, err := filepath.Rel(root, path); err != nil || inside == ".." || strings.HasPrefix(inside, ".."+string(filepath.Separator)) {
		return false
	}
	switch name := filepath.Base(path); {
	case filepath.Ext(name) == ".proto", name == "buf.yaml", name == "buf.work.yaml", name == "buf.lock":
		return true
	default:
		// Directories come and go, and so do links to them.
		stat, err := os.Lstat(path)
		return errors.Is(err, fs.ErrNotExist) || err == nil && !stat.Mode().IsRegular()
	}
}

// samePath reports whether two paths, which need not exist, are the same.
func samePath(a, b string) bool {
	one, err := filepath.Abs(a)
	other, otherErr := filepath.Abs(b)
	return err == nil && otherErr == nil && b != "" && one == other
}
