package gate

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"example.com/tidings/tools/internal/bufcache"
	"example.com/tidings/tools/internal/workspace"
)

// TestPlainBufInClone does what somebody does who has cloned the repository and
// has nothing but Go and Buf: no command of make, nothing built before.
func TestPlainBufInClone(t *testing.T) {
	c := newClone(t)
	for _, args := range [][]string{
		{"build"},
		{"lint"},
		{"breaking", "--against", ".git#branch=main"},
		{"format", "--diff", "--exit-code"},
		{"generate"},
		// The other modules.
		{"generate", "--template", "server/buf.gen.yaml"},
		{"generate", "--template", "conformance/buf.gen.yaml"},
		// As the action of Buf calls it for a pull request.
		{"breaking", "--error-format=github-actions", "--against", c.origin + "#format=git,commit=" + c.commit},
		{"lint", "--error-format=github-actions"},
	} {
		c.buf(t, c.dir, args...)
	}
	c.unchanged(t)
}

// TestPlainBufInExamples does the same in the schema repository of the examples,
// which stands for that of somebody else.
func TestPlainBufInExamples(t *testing.T) {
	c := newClone(t)
	for _, args := range [][]string{
		{"build"},
		{"lint"},
		{"breaking", "--against", "../../.git#branch=main,subdir=examples/events"},
		{"format", "--diff", "--exit-code"},
		{"generate"},
		{"build", "proto", "-o", "events.binpb"},
	} {
		c.buf(t, filepath.Join(c.dir, "examples", "events"), args...)
	}
	c.unchanged(t)
}

// TestGitInput uses the repository from outside of it, as Buf does with a name and
// an address.
func TestGitInput(t *testing.T) {
	c := newClone(t)
	outside := t.TempDir()
	template := "version: v2\nplugins:\n  - local: [go, -C, " + filepath.Join(c.dir, "tools") + ", tool, protoc-gen-go]\n" +
		"    out: gen\n    opt: paths=source_relative\n"
	if err := os.WriteFile(filepath.Join(outside, "buf.gen.yaml"), []byte(template), 0o600); err != nil {
		t.Fatal(err)
	}
	input := c.origin + "#format=git,branch=main"
	c.buf(t, outside, "build", input, "-o", "all.binpb")
	c.buf(t, outside, "build", input+",subdir=proto", "-o", "contract.binpb")
	c.buf(t, outside, "breaking", "all.binpb", "--against", "contract.binpb")
	c.buf(t, outside, "export", input+",subdir=proto", "-o", "exported")
	c.buf(t, outside, "generate", input, "--path", "proto/tidings/v1", "--path", "proto/tidings/options")
	if got, want := protoFiles(t, filepath.Join(outside, "exported", "tidings")), protoFiles(t, filepath.Join(c.dir, "proto", "tidings")); !slices.Equal(got, want) {
		t.Errorf("exported were %q, want %q", got, want)
	}
	for _, name := range []string{"v1/event.pb.go", "options/v1/options.pb.go"} {
		name = filepath.FromSlash("tidings/" + name)
		got, err := os.ReadFile(filepath.Join(outside, "gen", name))
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join(c.dir, "gen", "go", name))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s is generated otherwise from outside", name)
		}
	}
	if entries, err := os.ReadDir(filepath.Join(outside, "gen", "tidings")); err != nil || len(entries) != 2 {
		t.Errorf("more was generated than was asked for: %v, %v", entries, err)
	}
}

// clone is a clone of the repository, and what is needed to use Buf in it.
type clone struct {
	dir     string // Of the clone.
	origin  string // What it is a clone of, a bare repository.
	commit  string // Of its branch main, the only one.
	program string // Buf.
}

// newClone returns a clone of a repository that has the project's files as they
// stand here, committed or not, on its branch main.
func newClone(t *testing.T) clone {
	t.Helper()
	if testing.Short() {
		t.Skip("runs Buf in clones of the checkout")
	}
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	temp := t.TempDir()
	c := clone{dir: filepath.Join(temp, "tidings"), origin: filepath.Join(temp, "tidings.git")}
	if c.program, err = workspace.Buf(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	// What Buf would fetch itself.
	if err := bufcache.FillDefault(t.Context(), filepath.Join(root, "buf.lock"), io.Discard); err != nil {
		t.Fatal(err)
	}
	files := t.TempDir()
	if err := workspace.Copy(root, files); err != nil {
		t.Fatal(err)
	}
	git(t, files, "init", "--quiet", "--initial-branch=main")
	git(t, files, "add", "--all")
	git(t, files, "commit", "--quiet", "--message=All files")
	git(t, files, "clone", "--quiet", "--bare", files, c.origin)
	git(t, files, "clone", "--quiet", c.origin, c.dir)
	c.commit = git(t, c.dir, "rev-parse", "HEAD")
	return c
}

// buf runs Buf in a directory, which has to succeed.
func (c clone) buf(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), c.program, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("buf %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// unchanged requires that what was generated is what the clone had.
func (c clone) unchanged(t *testing.T) {
	t.Helper()
	if status := git(t, c.dir, "status", "--porcelain"); status != "" {
		t.Errorf("what was generated isn't what is committed:\n%s", status)
	}
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append([]string{
		"-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false",
	}, args...)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return strings.TrimSpace(string(out))
}

// protoFiles returns the schemas below a directory, in order.
func protoFiles(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := workspace.Files(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if filepath.Ext(name) == ".proto" {
			names = append(names, name)
		}
	}
	return names
}
