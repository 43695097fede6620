package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/module"

	"example.com/tidings/tools/internal/workspace"
)

// generatedDir is left out in every module: its content comes from the schemas.
const generatedDir = "/gen/"

// rename gives the checkout at root the module path newPath. Every new content
// is made before the first file is written, so an error leaves all as it was.
func rename(root, newPath string, out io.Writer) error {
	// The placeholder itself must stay possible to return to.
	if err := module.CheckPath(newPath); err != nil {
		return err
	}
	if _, major, _ := module.SplitPathVersion(newPath); major != "" {
		return fmt.Errorf("%s: a version suffix is for a later major version, not for the path to adopt", newPath)
	}
	oldPath, err := workspace.ModulePath(root)
	if err != nil {
		return err
	}
	if strings.HasPrefix(newPath+"/", oldPath+"/") && newPath != oldPath {
		return fmt.Errorf("%s is below the present path, %s: a second run could not tell what it has renamed", newPath, oldPath)
	}
	if newPath == oldPath {
		_, err := fmt.Fprintf(out, "the module is %s already\n", newPath)
		return err
	}
	files, err := workspace.Files(root)
	if err != nil {
		return err
	}
	changed := make(map[string][]byte)
	var problems []error
	for _, name := range files {
		if strings.Contains("/"+name, generatedDir) {
			continue
		}
		data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			return err
		}
		renamed, err := rewrite(name, data, oldPath, newPath)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", name, err))
		} else if string(renamed) != string(data) {
			changed[name] = renamed
		}
	}
	if len(problems) > 0 {
		return errors.Join(problems...)
	}
	for name, data := range changed {
		if err := replaceContent(filepath.Join(root, filepath.FromSlash(name)), data); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(out, "renamed %s to %s in %d files\n", oldPath, newPath, len(changed))
	return err
}

// replaceContent writes to a file that exists and keeps its mode.
func replaceContent(path string, data []byte) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, info.Mode().Perm())
}
