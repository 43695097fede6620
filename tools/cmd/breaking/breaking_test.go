package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/tidings/tools/internal/schemaimage"
	"example.com/tidings/tools/internal/workspace"
)

const (
	bufYAML   = "version: v2\nmodules:\n  - path: proto\nbreaking:\n  use:\n    - FILE\n"
	schema    = "syntax = \"proto3\";\n\npackage a.v1;\n\noption go_package = \"example.org/old/a/v1\";\n\nmessage A {\n  string x = 1;\n}\n"
	protoFile = "proto/a/v1/a.proto"
	otherFile = "proto/b/v1/b.proto"
)

// today is the day on which the tests take place.
var today = time.Date(2030, time.March, 1, 12, 0, 0, 0, time.UTC)

// otherSchema is the same in another package.
var otherSchema = strings.NewReplacer("a.v1", "b.v1", "a/v1", "b/v1").Replace(schema)

// withoutField is the schema with its field gone, which breaks everybody.
var withoutField = strings.Replace(schema, "  string x = 1;\n", "", 1)

// A checkout is a repository of its own, with the schema and its first release.
type checkout struct {
	t   *testing.T
	dir string
	buf string
}

func newCheckout(t *testing.T) checkout {
	t.Helper()
	if testing.Short() {
		t.Skip("runs Buf on repositories of its own")
	}
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	buf, err := workspace.Buf(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	c := checkout{t: t, dir: t.TempDir(), buf: buf}
	c.command("git", "init", "--quiet", "--initial-branch=main")
	c.write("go.mod", "module example.org/old\n")
	c.write("buf.yaml", bufYAML)
	c.write(protoFile, schema)
	return c
}

func (c checkout) write(name, content string) {
	c.t.Helper()
	path := filepath.Join(c.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

func (c checkout) command(name string, args ...string) {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), name, args...)
	cmd.Dir = c.dir
	// The outcome must not depend on who runs the test and how Git is set up there.
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_SYSTEM="+os.DevNull,
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.org")
	if out, err := cmd.CombinedOutput(); err != nil {
		c.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

func (c checkout) commit(message string) {
	c.t.Helper()
	c.command("git", "add", "--all")
	c.command("git", "commit", "--quiet", "--message", message)
}

// release makes the image of a release out of what the working tree holds.
func (c checkout) release(version string) {
	c.t.Helper()
	c.write("baseline/README.md", "")
	c.command(c.buf, "build", "-o", "baseline/"+version+".binpb")
}

// expect runs the gate and wants each fragment in what it prints or returns. A
// failure is wanted exactly if wantError isn't empty.
func (c checkout) expect(base, wantError string, wantOutput ...string) {
	c.t.Helper()
	var out strings.Builder
	err := run(c.t.Context(), []string{"-root", c.dir, "-buf", c.buf, "-base", base}, today, &out)
	switch {
	case wantError == "" && err != nil:
		c.t.Errorf("failed: %v\n%s", err, &out)
	case wantError != "" && err == nil:
		c.t.Errorf("passed, want an error with %q\n%s", wantError, &out)
	case err != nil && !strings.Contains(err.Error(), wantError):
		c.t.Errorf("error %q lacks %q", err, wantError)
	}
	for _, want := range wantOutput {
		if !strings.Contains(out.String(), want) {
			c.t.Errorf("output lacks %q:\n%s", want, &out)
		}
	}
}

func TestNoBaselineFails(t *testing.T) {
	c := newCheckout(t)
	c.commit("schemas")
	c.expect("", "holds no image of a release")
}

func TestNewestBaselineIsByVersionNotByName(t *testing.T) {
	c := newCheckout(t)
	c.release("v0.9.0")
	c.write(protoFile, strings.Replace(schema, "}\n", "  string y = 2;\n}\n", 1))
	c.release("v0.10.0")
	c.write(protoFile, schema)
	c.expect("", "1 breaking changes against v0.10.0.binpb", protoFile+":7:1: FIELD_NO_DELETE")
}

func TestBaselineWithoutAVersionFails(t *testing.T) {
	c := newCheckout(t)
	c.release("latest")
	c.expect("", "the name is not vMAJOR.MINOR.PATCH")
}

func TestBeforeAndAtTheFirstCommit(t *testing.T) {
	c := newCheckout(t)
	c.release("v0.1.0")
	c.expect("", "", "nothing earlier to compare with: the repository has no commit yet")
	c.commit("all")
	c.expect("", "", "nothing earlier to compare with: the first commit")
}

func TestMainIsNotComparedWithItself(t *testing.T) {
	c := newCheckout(t)
	c.write("README.md", "first")
	c.release("v0.1.0")
	c.commit("first")
	// A field that no release holds, so that only history can tell that it went.
	c.write(protoFile, strings.Replace(schema, "}\n", "  string y = 2;\n}\n", 1))
	c.commit("add a field")
	c.write(protoFile, schema)
	c.commit("remove it again")
	c.write("README.md", "second")
	c.commit("a commit that leaves the schemas alone must not hide the one before")
	c.expect("", "1 breaking changes against reference.binpb", "what came before", "FIELD_NO_DELETE")
	c.expect(strings.Repeat("0", 40), "1 breaking changes", "what came before")
	c.expect("HEAD~3", "", "the merge base with HEAD~3")
}

func TestBranchIsComparedWithTheMergeBase(t *testing.T) {
	c := newCheckout(t)
	c.release("v0.1.0")
	c.write(protoFile, strings.Replace(schema, "}\n", "  string y = 2;\n}\n", 1))
	c.commit("on main")
	c.command("git", "checkout", "--quiet", "-b", "change")
	c.expect("", "", "nothing earlier to compare with: the first commit")
	c.write("README.md", "on the branch")
	c.commit("on the branch")
	c.expect("", "", "the merge base with main")
	c.write(protoFile, schema)
	c.expect("", "1 breaking changes against reference.binpb", "the merge base with main", "FIELD_NO_DELETE")
}

func TestMissingReferenceFails(t *testing.T) {
	c := newCheckout(t)
	c.release("v0.1.0")
	c.commit("first")
	c.expect("no-such-branch", "no such revision: no-such-branch")
	c.expect(strings.Repeat("1", 40), "no such revision")
	c.command("git", "branch", "--move", "trunk")
	c.expect("", "no such revision: origin/main, main")

	c.write("README.md", "second")
	c.commit("second")
	shallow := checkout{t: t, dir: t.TempDir(), buf: c.buf}
	shallow.command("git", "clone", "--quiet", "--depth=1", "file://"+filepath.ToSlash(c.dir), ".")
	shallow.expect("", "shallow clone")
}

func TestReleaseImagesAreKept(t *testing.T) {
	c := newCheckout(t)
	c.release("v0.1.0")
	c.commit("first")
	c.command("git", "checkout", "--quiet", "-b", "change")
	// An edited image that agrees with the edited schema would hide the break.
	c.write(protoFile, withoutField)
	c.release("v0.1.0")
	c.commit("rewrite the release")
	c.expect("", "baseline/v0.1.0.binpb: the image of a release was changed", "FIELD_NO_DELETE")

	c.release("v0.2.0")
	c.command("git", "rm", "--quiet", "baseline/v0.1.0.binpb")
	c.expect("", "the image of a release is gone")
}

func TestRenamedModuleBreaksNobody(t *testing.T) {
	c := newCheckout(t)
	c.release("v0.1.0")
	c.commit("first")
	c.command("git", "checkout", "--quiet", "-b", "adopt")
	c.write("go.mod", "module example.net/new\n")
	c.write(protoFile, strings.Replace(schema, "example.org/old", "example.net/new", 1))
	path := filepath.Join(c.dir, "baseline", "v0.1.0.binpb")
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if image, err = schemaimage.RenameModule(image, "example.org/old", "example.net/new"); err != nil {
		t.Fatal(err)
	}
	c.write("baseline/v0.1.0.binpb", string(image))
	c.commit("rename")
	c.expect("", "", "the module was example.org/old there")

	// Any other change of a go_package is as breaking as ever.
	c.write(protoFile, strings.Replace(schema, "example.org/old/a", "example.net/new/b", 1))
	c.expect("", "1 breaking changes against reference.binpb", "FILE_SAME_GO_PACKAGE")
}

// TestRenamedAfterMergeBreaksNobody compares with a commit that has a file and a
// release as they came from upstream, under the path that they have there.
func TestRenamedAfterMergeBreaksNobody(t *testing.T) {
	java := func(path, prefix string) string {
		return strings.NewReplacer(
			"example.org/old", path, "message A", "option java_package = \""+prefix+".a.v1\";\n\nmessage A",
		).Replace(schema)
	}
	c := newCheckout(t)
	c.write("go.mod", "module example.net/team/new\n")
	c.write(".upstream", "# Comment.\nexample.org/old\n")
	c.write(protoFile, java("example.org/old", "org.example"))
	c.release("v0.1.0")
	c.commit("merge")
	c.command("git", "checkout", "--quiet", "-b", "change")
	c.write(protoFile, java("example.net/team/new", "net.example.team"))
	image, err := os.ReadFile(filepath.Join(c.dir, "baseline", "v0.1.0.binpb"))
	if err != nil {
		t.Fatal(err)
	}
	if image, err = schemaimage.RenameModule(image, "example.org/old", "example.net/team/new"); err != nil {
		t.Fatal(err)
	}
	c.write("baseline/v0.1.0.binpb", string(image))
	c.commit("rename")
	c.expect("", "")
	c.write(".upstream", "example.org/other\n")
	c.expect("", "breaking changes against reference.binpb", "FILE_SAME_GO_PACKAGE", "FILE_SAME_JAVA_PACKAGE")
}

func TestModulesAreComparedTogether(t *testing.T) {
	const moved = "more/a/v1/a.proto"
	two := strings.Replace(bufYAML, "  - path: proto\n", "  - path: proto\n  - path: more\n", 1)
	c := newCheckout(t)
	c.write(otherFile, otherSchema)
	c.release("v0.1.0")
	c.commit("one module")
	c.command("git", "checkout", "--quiet", "-b", "change")
	c.write("buf.yaml", two)
	c.write(moved, schema)
	c.command("git", "rm", "--quiet", protoFile)
	c.commit("two modules")
	c.expect("", "")
	c.write(moved, withoutField)
	c.expect("", "1 breaking changes against v0.1.0.binpb", moved+":7:1: FIELD_NO_DELETE")

	// And with two before.
	c.write(moved, schema)
	c.command("git", "branch", "--force", "main")
	c.write("README.md", "on the branch")
	c.commit("on the branch")
	c.write(otherFile, strings.Replace(otherSchema, "  string x = 1;\n", "", 1))
	c.expect("", "1 breaking changes against reference.binpb", otherFile+":7:1: FIELD_NO_DELETE")
}
