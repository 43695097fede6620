package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"example.com/tidings/tools/internal/bufcache"
	"example.com/tidings/tools/internal/names"
	"example.com/tidings/tools/internal/workspace"
)

// A repository is one of Git.
type repository struct {
	t        *testing.T
	dir, bin string // bin is where the tools are, with Buf among them.
}

// What upstream adds after the adopter's clone.
const (
	goFile      = "server/internal/added/added.go"
	protoFile   = "proto/tidings/v1beta1/added.proto"
	release     = "baseline/v99.0.0.binpb"
	changedFile = "docs/versioning.md"
	changeLog   = "CHANGELOG.md"
)

// newUpstream returns a repository with the project's files as they stand in root,
// committed there or not.
func newUpstream(t *testing.T, root string) repository {
	t.Helper()
	r := repository{t: t, dir: t.TempDir(), bin: t.TempDir()}
	if err := workspace.Copy(root, r.dir); err != nil {
		t.Fatal(err)
	}
	if err := bufcache.FillDefault(t.Context(), filepath.Join(root, "buf.lock"), io.Discard); err != nil {
		t.Fatal(err)
	}
	r.command("tools", "go", "build", "-o", r.bin+string(filepath.Separator), "github.com/bufbuild/buf/cmd/buf", "./cmd/...")
	r.write(filepath.Join(r.bin, ".tools"), "")
	r.git("init", "--quiet", "--initial-branch=main")
	r.commit("All files")
	return r
}

// clone returns a clone with a main branch of its own.
func (r repository) clone() repository {
	r.t.Helper()
	clone := r
	clone.dir = filepath.Join(r.t.TempDir(), "fork")
	r.git("clone", "--quiet", ".", clone.dir)
	return clone
}

// develop adds, under the path that the module has upstream, a schema and the code
// of it, a Go file that imports that, a line in a document, and a release.
func (r repository) develop(path string) {
	r.t.Helper()
	r.write(protoFile, "syntax = \"proto3\";\n\npackage tidings.v1beta1;\n\noption go_package = \""+path+
		"/gen/go/tidings/v1beta1;tidingsv1beta1\";\noption java_multiple_files = true;\noption java_package = \""+
		names.Of(path).Java+".tidings.v1beta1\";\n\n// Added came later.\nmessage Added {\n  // What it says.\n  string text = 1;\n}\n")
	r.write(goFile, "// Package added came later.\npackage added\n\nimport tidingsv1beta1 \""+path+
		"/gen/go/tidings/v1beta1\"\n\n// Text is what it says.\nfunc Text(a *tidingsv1beta1.Added) string { return a.GetText() }\n")
	r.write(changedFile, r.read(changedFile)+"\nSince then `"+path+"/server` has more in it.\n")
	before, after, _ := strings.Cut(r.read(changeLog), "\n## [0.")
	r.write(changeLog, before+"\n## [99.0.0] - 2026-12-24\n\n### Added\n\n- Added.\n\n## [0."+after)
	r.generate()
	r.command(".", filepath.Join(r.bin, "buf"), "build", "--exclude-source-info", "-o", release)
	r.commit("Add more")
}

// rename runs the program.
func (r repository) rename(args ...string) {
	r.t.Helper()
	if err := run(append([]string{"-root", r.dir}, args...), io.Discard); err != nil {
		r.t.Fatal(err)
	}
}

// generate does what make generate does, with the tools as they were at first.
func (r repository) generate() {
	r.t.Helper()
	r.command(".", "make", "generate", "BIN="+r.bin, "--old-file="+filepath.Join(r.bin, ".tools"))
}

func (r repository) modules() []string {
	r.t.Helper()
	dirs, err := workspace.GoModules(r.dir)
	if err != nil {
		r.t.Fatal(err)
	}
	return dirs
}

func (r repository) read(name string) string {
	r.t.Helper()
	data, err := os.ReadFile(filepath.Join(r.dir, filepath.FromSlash(name)))
	if err != nil {
		r.t.Fatal(err)
	}
	return string(data)
}

func (r repository) write(name, text string) {
	r.t.Helper()
	path := filepath.FromSlash(name)
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.dir, path)
	}
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
	r.git("commit", "--quiet", "--message", message)
}

func (r repository) git(args ...string) { r.t.Helper(); r.command(".", "git", args...) }

// command runs a command in a directory of the repository.
func (r repository) command(dir, name string, args ...string) string {
	r.t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(r.t.Context(), name, args...)
	cmd.Dir = dir
	if !filepath.IsAbs(dir) {
		cmd.Dir = filepath.Join(r.dir, dir)
	}
	cmd.Stderr = &stderr
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_SYSTEM="+os.DevNull,
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.org")
	out, err := cmd.Output()
	if err != nil {
		r.t.Fatalf("%s %s in %s: %v\n%s%s", filepath.Base(name), strings.Join(args, " "), dir, err, out, &stderr)
	}
	return strings.TrimSpace(string(out))
}
