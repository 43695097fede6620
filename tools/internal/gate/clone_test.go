package gate

import (
	"io"
	"os/exec"
	"path/filepath"
	"testing"

	"example.com/tidings/tools/internal/bufcache"
	"example.com/tidings/tools/internal/workspace"
)

// TestPlainBufInClone does what somebody does who has cloned the repository and
// has nothing but Go and Buf: no command of make, nothing built before.
func TestPlainBufInClone(t *testing.T) {
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	buf, err := workspace.Buf(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	// What Buf would fetch itself.
	if err := bufcache.FillDefault(t.Context(), filepath.Join(root, "buf.lock"), io.Discard); err != nil {
		t.Fatal(err)
	}
	clone := cloneOf(t, root)
	for _, args := range [][]string{
		{"lint"},
		{"breaking", "--against", ".git#branch=main"},
		{"format", "--diff", "--exit-code"},
	} {
		cmd := exec.CommandContext(t.Context(), buf, args...)
		cmd.Dir = clone
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", cmd, err, out)
		}
	}
}

// cloneOf returns a clone of a repository that has the project's files as they
// stand in root, committed there or not, on its branch main.
func cloneOf(t *testing.T, root string) string {
	t.Helper()
	origin, clone := t.TempDir(), filepath.Join(t.TempDir(), "tidings")
	if err := workspace.Copy(root, origin); err != nil {
		t.Fatal(err)
	}
	git := func(args ...string) {
		cmd := exec.CommandContext(t.Context(), "git", append([]string{
			"-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false",
		}, args...)...)
		cmd.Dir = origin
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", cmd, err, out)
		}
	}
	git("init", "--quiet", "--initial-branch=main")
	git("add", "--all")
	git("commit", "--quiet", "--message=All files")
	git("clone", "--quiet", origin, clone)
	return clone
}
