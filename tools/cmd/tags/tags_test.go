package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A repository has a release of two modules, and commits after it.
type repository struct {
	t   *testing.T
	dir string
}

func newRepository(t *testing.T) repository {
	t.Helper()
	r := repository{t: t, dir: t.TempDir()}
	r.git("init", "--quiet", "--initial-branch=main")
	r.write("go.mod", "module example.org/a\n\ngo 1.26.0\n")
	r.write("lib/go.mod", "module example.org/a/lib\n\ngo 1.26.0\n\nrequire example.org/a v0.0.0\n\nreplace example.org/a => ../\n")
	r.commit("first")
	r.write("VERSION", "1.2.3\n")
	r.write("baseline/v1.2.3.binpb", "an image")
	r.commit("release")
	return r
}

func (r repository) write(name, text string) {
	r.t.Helper()
	path := filepath.Join(r.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r repository) commit(message string) {
	r.t.Helper()
	r.git("add", "--all")
	r.git("-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "--quiet", "--message", message)
}

func (r repository) git(args ...string) string {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), "git", args...)
	cmd.Dir = r.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("%s: %v: %s", cmd, err, out)
	}
	return strings.TrimSpace(string(out))
}

// run runs the program as somebody whose configuration of Git is their own.
func (r repository) run(args ...string) (string, error) {
	r.t.Helper()
	for name, value := range map[string]string{
		"GIT_CONFIG_GLOBAL": os.DevNull, "GIT_CONFIG_SYSTEM": os.DevNull,
		"GIT_COMMITTER_NAME": "B", "GIT_COMMITTER_EMAIL": "b@example.org",
	} {
		r.t.Setenv(name, value)
	}
	var out strings.Builder
	err := run(r.t.Context(), append([]string{"-root", r.dir}, args...), &out)
	return out.String(), err
}

func TestTags(t *testing.T) {
	r := newRepository(t)
	release := r.git("rev-parse", "HEAD")
	r.write("README.md", "later")
	r.commit("later")
	out, err := r.run()
	if err != nil {
		t.Fatal(err)
	}
	if want := "git push origin v1.2.3 lib/v1.2.3\n"; !strings.HasSuffix(out, want) {
		t.Errorf("it says %q, want %q", out, want)
	}
	for tag, want := range map[string]string{"v1.2.3^{commit}": release, "lib/v1.2.3^{commit}~1": release} {
		if got := r.git("rev-parse", tag); got != want {
			t.Errorf("%s is %s, want %s", tag, got, want)
		}
	}
	if got := r.git("diff", "--name-only", "v1.2.3", "lib/v1.2.3"); got != "lib/go.mod\nlib/go.sum" {
		t.Errorf("what is published differs from the release in %q", got)
	}
	if got := r.git("show", "lib/v1.2.3:lib/go.mod"); got != "module example.org/a/lib\n\ngo 1.26.0\n\nrequire example.org/a v1.2.3" {
		t.Errorf("published is\n%s", got)
	}
	if got := r.git("branch", "--all", "--contains", "lib/v1.2.3"); got != "" {
		t.Errorf("what is published is part of %q", got)
	}
	for _, tag := range []string{"v1.2.3", "lib/v1.2.3"} {
		if got := r.git("cat-file", "-t", tag); got != "tag" {
			t.Errorf("%s isn't annotated: it is a %s", tag, got)
		}
	}
	if _, err := r.run("1.2.3"); err == nil || !strings.Contains(err.Error(), "there are tags of this release: lib/v1.2.3, v1.2.3") {
		t.Errorf("tagged again: %v", err)
	}
}

func TestNothingToTag(t *testing.T) {
	r := newRepository(t)
	if _, err := r.run("1.2.4"); err == nil || !strings.Contains(err.Error(), "no commit added baseline/v1.2.4.binpb") {
		t.Errorf("tagged what isn't committed: %v", err)
	}
	r.write("baseline/v1.2.4.binpb", "an image")
	r.commit("an image alone")
	if _, err := r.run("1.2.4"); err == nil || !strings.Contains(err.Error(), `has "1.2.3" in VERSION`) {
		t.Errorf("tagged what has another version: %v", err)
	}
	shallow := repository{t: t, dir: filepath.Join(t.TempDir(), "clone")}
	r.git("clone", "--quiet", "--depth=1", "file://"+filepath.ToSlash(r.dir), shallow.dir)
	if _, err := shallow.run(); err == nil || !strings.Contains(err.Error(), "shallow clone") {
		t.Errorf("tagged in a shallow clone: %v", err)
	}
	if tags := r.git("tag", "--list"); tags != "" {
		t.Errorf("tags were set: %s", tags)
	}
}

// TestAllTagsOrNone has Git refuse the second tag, because of a tag that would be
// its directory.
func TestAllTagsOrNone(t *testing.T) {
	r := newRepository(t)
	r.git("tag", "lib")
	if out, err := r.run(); err == nil {
		t.Errorf("it passed: %s", out)
	}
	if tags := r.git("tag", "--list"); tags != "lib" {
		t.Errorf("the tags are %q", tags)
	}
}
