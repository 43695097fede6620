// Package buftest gives tests the pinned Buf and this project's plugin of it.
package buftest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Need returns the path of the pinned Buf, and skips a test with -short: on a fresh
// machine Buf compiles for minutes.
func Need(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Buf, which compiles for minutes")
	}
	path, err := Path()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Path returns the path of the Buf that tools/go.mod pins. It is built where it
// isn't in Go's cache.
var Path = sync.OnceValues(func() (string, error) {
	tools, err := find("tools")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "tool", "-n", "buf")
	cmd.Dir = tools
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("building buf: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
})

// BuildPlugin builds this project's plugin of Buf into a directory and returns its
// path. On a fresh machine that takes a minute.
func BuildPlugin(ctx context.Context, dir string) (string, error) {
	tools, err := find("tools")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "buf-plugin-tidings")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "./cmd/buf-plugin-tidings")
	cmd.Dir = tools
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the plugin: %w: %s", err, out)
	}
	return path, nil
}

// find returns the directory of a module beside or above the working directory.
func find(module string) (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if candidate := filepath.Join(dir, module); fileExists(filepath.Join(candidate, "go.mod")) {
			return candidate, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("there is no module " + module + " above the tests")
		}
		dir = filepath.Dir(dir)
	}
	return "", err
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
