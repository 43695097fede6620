package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/module"

	"example.com/tidings/tools/internal/upstream"
	"example.com/tidings/tools/internal/workspace"
)

// generatedDir is left out in every module: its content comes from the schemas.
const generatedDir = "/gen/"

// rename gives the checkout at root the module path newPath, or, without one, what
// came from upstream the path that the checkout has. Every new content is made
// before the first file is written, so an error leaves all as it was.
func rename(root, newPath string, out io.Writer) error {
	present, err := workspace.ModulePath(root)
	if err != nil {
		return err
	}
	before, err := upstream.Paths(root)
	if err != nil {
		return err
	}
	if newPath == "" && len(before) == 0 {
		return errors.New("nothing was renamed here before, so say what the module is to be called")
	} else if newPath == "" {
		newPath = present
	}
	if !slices.Contains(before, present) {
		before = append(before, present)
	}
	before = slices.DeleteFunc(before, func(path string) bool { return path == newPath })
	if err := check(newPath, before); err != nil {
		return err
	}
	if len(before) == 0 {
		_, err := fmt.Fprintf(out, "the module is %s already\n", newPath)
		return err
	}
	changes, err := plan(root, before, newPath)
	if err != nil {
		return err
	}
	for _, c := range changes {
		if err := c.apply(root); err != nil {
			return err
		}
	}
	if err := upstream.Write(root, before); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "renamed %s to %s in %d files\n", strings.Join(before, " and "), newPath, len(changes))
	return err
}

// check refuses a path that can't be that of the module.
func check(newPath string, before []string) error {
	if err := module.CheckPath(newPath); err != nil {
		return err
	}
	if _, major, _ := module.SplitPathVersion(newPath); major != "" {
		return fmt.Errorf("%s: a version suffix is for a later major version, not for the path to adopt", newPath)
	}
	for _, old := range before {
		if strings.HasPrefix(newPath, old+"/") {
			return fmt.Errorf("%s is below the path %s: a second run could not tell what it has renamed", newPath, old)
		}
	}
	return nil
}

// A change is what becomes of one file.
type change struct {
	from, to string // Slash-separated paths relative to the root.
	data     []byte
}

// plan returns what has to change.
func plan(root string, before []string, newPath string) ([]change, error) {
	files, err := workspace.Files(root)
	if err != nil {
		return nil, err
	}
	r := newRewriter(before, newPath)
	var changes []change
	var problems []error
	for _, name := range files {
		if strings.Contains("/"+name, generatedDir) || name == upstream.File {
			continue
		}
		data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			return nil, err
		}
		renamed, err := r.rewrite(name, data)
		to := r.move(name)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", name, err))
		} else if to != name || string(renamed) != string(data) {
			changes = append(changes, change{from: name, to: to, data: renamed})
		}
	}
	return changes, errors.Join(problems...)
}

// apply writes the file in its place, with the mode that it has.
func (c change) apply(root string) error {
	from, to := filepath.Join(root, filepath.FromSlash(c.from)), filepath.Join(root, filepath.FromSlash(c.to))
	if from != to {
		if _, err := os.Lstat(to); err == nil {
			return fmt.Errorf("%s can't become %s, which exists", c.from, c.to)
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.Rename(from, to); err != nil {
			return err
		}
		removeEmpty(filepath.Dir(from))
	}
	info, err := os.Stat(to)
	if err != nil {
		return err
	}
	return os.WriteFile(to, c.data, info.Mode().Perm())
}

// removeEmpty removes a directory, and those above it, as long as they are empty.
func removeEmpty(dir string) {
	for os.Remove(dir) == nil {
		dir = filepath.Dir(dir)
	}
}
