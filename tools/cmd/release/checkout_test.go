package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/tidings/tools/internal/bufcache"
	"example.com/tidings/tools/internal/workspace"
)

// today is the day on which the tests take place.
var today = time.Date(2030, time.March, 1, 23, 30, 0, 0, time.UTC)

// A checkout is a repository of its own with the project's files as they stand
// here, committed or not, and something to release.
type checkout struct {
	t               *testing.T
	dir, buf, gate  string
	present, future string // The version that it has, and one to release.
}

func newCheckout(t *testing.T) checkout {
	t.Helper()
	root := repositoryRoot(t)
	c := checkout{t: t, dir: filepath.Join(t.TempDir(), "tidings"), buf: pinnedBuf(t, root), future: "97.0.0"}
	if err := workspace.Copy(root, c.dir); err != nil {
		t.Fatal(err)
	}
	config, err := workspace.BuildPlugin(t.Context(), root, c.dir)
	if err != nil {
		t.Fatal(err)
	}
	c.write("buf.yaml", config)
	if c.gate, err = gate(); err != nil {
		t.Fatal(err)
	}
	if c.present, err = presentVersion(c.dir); err != nil {
		t.Fatal(err)
	}
	c.replace(changeLog, unreleased, unreleased+"\n### Fixed\n\n- Something that the test tells of.\n")
	c.replace("README.md", "## Licence\n", "There since "+c.present+", not in a release yet.\n\n## Licence\n")
	c.command("git", "init", "--quiet", "--initial-branch=main")
	c.commit("first")
	return c
}

// gate returns where the tests have built the gate for breaking changes.
var gate = sync.OnceValues(func() (string, error) {
	program := filepath.Join(scratch, "breaking")
	if out, err := exec.Command("go", "build", "-o", program, "../breaking").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the gate: %w\n%s", err, out)
	}
	return program, nil
})

// scratch is a directory of all tests.
var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "release-"); err != nil {
		panic(err)
	}
	status := m.Run()
	_ = os.RemoveAll(scratch)
	os.Exit(status)
}

func repositoryRoot(t *testing.T) string {
	t.Helper()
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// pinnedBuf returns a Buf that can build the schemas.
func pinnedBuf(t *testing.T, root string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("runs Buf on copies of the checkout")
	}
	buf, err := workspace.Buf(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	if err := bufcache.FillDefault(t.Context(), filepath.Join(root, "buf.lock"), t.Output()); err != nil {
		t.Fatal(err)
	}
	return buf
}

// release runs the program, and returns what it printed.
func (c checkout) release(version string) (string, error) {
	c.t.Helper()
	var out bytes.Buffer
	err := run(c.t.Context(), []string{"-root", c.dir, "-buf", c.buf, "-breaking", c.gate, version}, today, &out)
	return out.String(), err
}

func (c checkout) read(name string) string {
	c.t.Helper()
	data, err := os.ReadFile(filepath.Join(c.dir, filepath.FromSlash(name)))
	if err != nil {
		c.t.Fatal(err)
	}
	return string(data)
}

func (c checkout) write(name, text string) {
	c.t.Helper()
	path := filepath.Join(c.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// replace changes the first place of a text in a file, which has to be there.
func (c checkout) replace(name, before, after string) {
	c.t.Helper()
	text := c.read(name)
	if !strings.Contains(text, before) {
		c.t.Fatalf("%s has no %q", name, before)
	}
	c.write(name, strings.Replace(text, before, after, 1))
}

func (c checkout) commit(message string) {
	c.t.Helper()
	c.command("git", "add", "--all")
	c.command("git", "commit", "--quiet", "--message", message)
}

// reset takes back what came after a commit.
func (c checkout) reset(commit string) {
	c.t.Helper()
	c.command("git", "reset", "--quiet", "--hard", commit)
	c.command("git", "clean", "--quiet", "--force", "-d")
}

func (c checkout) command(name string, args ...string) string {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), name, args...)
	cmd.Dir = c.dir
	// The outcome must not depend on who runs the test and how Git is set up there.
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_SYSTEM="+os.DevNull,
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.org")
	out, err := cmd.CombinedOutput()
	if err != nil {
		c.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}
