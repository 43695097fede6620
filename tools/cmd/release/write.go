package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// A content is what a file is to hold.
type content struct {
	name string // Slash-separated, relative to the root.
	data []byte
}

// A replacement is a file whose new content lies ready beside it.
type replacement struct {
	path   string
	staged string
	before []byte // Nil: there was no such file.
	mode   os.FileMode
}

// writeAll writes all files or leaves all as they were. Every content is on the
// disk beside its place before the first takes it, so what can fail after that
// are renames; if one does, those before it are taken back.
func writeAll(root string, contents []content) error {
	list, err := stageAll(root, contents)
	if err != nil {
		return err
	}
	return replaceAll(list)
}

// stageAll prepares all files or none.
func stageAll(root string, contents []content) ([]replacement, error) {
	var list []replacement
	for _, c := range contents {
		r, err := stage(filepath.Join(root, filepath.FromSlash(c.name)), c.data)
		if err != nil {
			return nil, errors.Join(err, discard(list))
		}
		list = append(list, r)
	}
	return list, nil
}

// replaceAll puts all files that were prepared in their places, or none.
func replaceAll(list []replacement) error {
	for i, r := range list {
		if err := os.Rename(r.staged, r.path); err != nil {
			return errors.Join(err, takeBack(list[:i]), discard(list[i:]))
		}
	}
	return nil
}

// discard removes what was prepared.
func discard(list []replacement) error {
	var problems []error
	for _, r := range list {
		problems = append(problems, os.Remove(r.staged))
	}
	return errors.Join(problems...)
}

// stage writes a content beside the file that is to hold it.
func stage(path string, data []byte) (r replacement, err error) {
	r = replacement{path: path, mode: 0o644}
	info, err := os.Stat(path)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return r, fmt.Errorf("%s is not a file", path)
	case err == nil:
		r.mode = info.Mode().Perm()
		if r.before, err = os.ReadFile(path); err != nil {
			return r, err
		}
	case !errors.Is(err, os.ErrNotExist):
		return r, err
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".release-*")
	if err != nil {
		return r, err
	}
	r.staged = file.Name()
	_, writeErr := file.Write(data)
	if err := errors.Join(writeErr, file.Chmod(r.mode), file.Sync(), file.Close()); err != nil {
		return r, errors.Join(err, os.Remove(r.staged))
	}
	return r, nil
}

// takeBack puts what was there in its place again.
func takeBack(list []replacement) error {
	var problems []error
	for _, r := range list {
		if r.before == nil {
			problems = append(problems, os.Remove(r.path))
		} else {
			problems = append(problems, os.WriteFile(r.path, r.before, r.mode))
		}
	}
	return errors.Join(problems...)
}
