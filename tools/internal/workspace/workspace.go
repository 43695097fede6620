// Package workspace knows this repository's checkout: where it is, which Go
// modules it holds, and the Buf that is pinned for it.
package workspace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
)

// unowned are what is no file of the project, and directories that hold none.
var unowned = []string{".git", ".cache", ".data", "node_modules", ".flattened-pom.xml"}

// built are the directories that hold what is built from the project's files,
// and none of these. A file may have such a name.
var built = []string{"build", "_build", "target", "dist", "generated"}

// Root returns the checkout that the working directory is in: the nearest
// directory upwards that holds a buf.yaml.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "buf.yaml")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no buf.yaml here or in any directory above")
		}
		dir = parent
	}
}

// ModulePath returns the path that the go.mod in dir declares.
func ModulePath(dir string) (string, error) {
	name := filepath.Join(dir, "go.mod")
	data, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	path := modfile.ModulePath(data)
	if path == "" {
		return "", fmt.Errorf("%s: no module path", name)
	}
	return path, nil
}

// Files returns the project's files below root as slash-separated paths
// relative to it, in order: every regular file but those of Git, of caches, of
// the server's data, of npm and of builds.
func Files(root string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && slices.Contains(built, entry.Name()) {
			return filepath.SkipDir
		}
		if slices.Contains(unowned, entry.Name()) {
			if entry.IsDir() {
				return filepath.SkipDir
			}
			return nil // In a linked work tree, .git is a file.
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		files = append(files, filepath.ToSlash(rel))
		return nil
	})
	return files, err
}

// Copy copies the project's files below root to a directory.
func Copy(root, dir string) error {
	files, err := Files(root)
	if err != nil {
		return err
	}
	for _, name := range files {
		source, target := filepath.Join(root, filepath.FromSlash(name)), filepath.Join(dir, filepath.FromSlash(name))
		info, err := os.Stat(source)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(source)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(target, data, info.Mode().Perm()); err != nil {
			return err
		}
	}
	return nil
}

// Buf returns the path of the Buf that tools/go.mod pins, built if need be.
func Buf(ctx context.Context, root string) (string, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "tool", "-n", "buf")
	cmd.Dir = filepath.Join(root, "tools")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go tool -n buf: %w: %s", err, &stderr)
	}
	return strings.TrimSpace(string(out)), nil
}

// How buf.yaml has Buf start our plugin, and what takes that place in tests.
const (
	pluginFromSource = "[go, -C, tools, run, ./cmd/buf-plugin-tidings]"
	pluginBuilt      = ".cache/bin/buf-plugin-tidings"
)

// BuildPlugin builds our plugin of Buf below dir. It returns the project's buf.yaml
// for a Buf that runs in dir, where it names the plugin that was built. It is for
// tests: Buf asks a plugin several times in each run, and starting it with go takes
// a part of a second each time.
func BuildPlugin(ctx context.Context, root, dir string) (config string, err error) {
	data, err := os.ReadFile(filepath.Join(root, "buf.yaml"))
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(data), pluginFromSource); n != 1 {
		return "", fmt.Errorf("buf.yaml names the plugin %s %d times, want once", pluginFromSource, n)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, filepath.FromSlash(pluginBuilt)), "./cmd/buf-plugin-tidings")
	cmd.Dir = filepath.Join(root, "tools")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the plugin of Buf: %w: %s", err, out)
	}
	return strings.Replace(string(data), pluginFromSource, pluginBuilt, 1), nil
}
