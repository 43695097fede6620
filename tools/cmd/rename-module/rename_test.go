package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"example.com/tidings/tools/internal/names"
	"example.com/tidings/tools/internal/upstream"
	"example.com/tidings/tools/internal/workspace"
)

const adopted = "git.adopter.test/team/events"

// TestRenameLeavesNothingBehind does in a clone what an adopter does: give it a
// path, merge what came upstream since, and rename that too. Then it looks for the
// old names in every file, builds every module, and asks the gate.
func TestRenameLeavesNothingBehind(t *testing.T) {
	if testing.Short() {
		t.Skip("builds every module of the repository")
	}
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	oldPath, err := workspace.ModulePath(root)
	if err != nil {
		t.Fatal(err)
	}
	origin := newUpstream(t, root)
	fork := origin.clone()
	if n := len(fork.naming(oldPath)); n < 10 {
		t.Fatalf("only %d files name %s before the change, so finding none afterwards shows nothing", n, oldPath)
	}
	fork.rename(adopted)
	fork.generate()
	fork.nothingLeft(oldPath)
	fork.commit("Take names of our own")

	origin.develop(oldPath)
	fork.git("switch", "--quiet", "--create", "merge")
	fork.git("pull", "--quiet", "--no-rebase", "--no-edit", "origin", "main")
	if !slices.Contains(fork.naming(oldPath), goFile) {
		t.Fatal("what came from upstream doesn't have its path, so renaming it shows nothing")
	}
	fork.rename()
	fork.command(".", "make", "generate")
	fork.nothingLeft(oldPath)
	fork.commit("Name what came from upstream")
	fork.git("diff", "--exit-code", "main", "--", ".upstream")

	for _, dir := range fork.modules() {
		// What only tests import has to be there too.
		if fork.command(dir, "go", "list", "-test", "-deps", "./...") != "" {
			fork.command(dir, "go", "list", "-export", "./...") // Compiles, and links nothing.
		}
	}
	// The releases were renamed with the schemas, so they still hold them, and so
	// does main, which has the merge neither.
	fork.passesGate()
	fork.git("switch", "--quiet", "main")
	fork.git("merge", "--quiet", "merge")
	fork.passesGate()
}

func TestRenameRefusesWhatIsNoModulePath(t *testing.T) {
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	oldPath, err := workspace.ModulePath(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"", "events", "git.example.org/a b", "git.example.org/events/v2", oldPath + "/below"} {
		// An empty directory but for the go.mod: whatever is accepted by mistake harms nothing.
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module "+oldPath+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := run([]string{"-root", dir, path}, io.Discard); err == nil {
			t.Errorf("%q was accepted", path)
		}
	}
}

// TestRenameAgain renames twice, and remembers all paths.
func TestRenameAgain(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module a.test/one\n")
	write("src/test/a/Client.java", "package test.a;\n")
	for _, args := range [][]string{{"b.test/team/two"}, {"c.test/three"}, {}} {
		if err := run(append([]string{"-root", dir}, args...), io.Discard); err != nil {
			t.Fatal(err)
		}
		write("note.txt", "a.test/one\nb.test/team/two\nc.test/three\n")
	}
	if err := run([]string{"-root", dir}, io.Discard); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"go.mod":                 "module c.test/three\n",
		"note.txt":               strings.Repeat("c.test/three\n", 3),
		"src/test/c/Client.java": "package test.c;\n",
	} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v; want %q", name, got, err, want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "src", "test", "a")); !os.IsNotExist(err) {
		t.Errorf("the old directory is there: %v", err)
	}
	if paths, err := upstream.Paths(dir); err != nil || !slices.Equal(paths, []string{"a.test/one", "b.test/team/two"}) {
		t.Errorf("remembered are %q, %v", paths, err)
	}
}

func (r repository) passesGate() {
	r.t.Helper()
	r.command(".", filepath.Join(r.bin, "breaking"), "-root", ".", "-buf", filepath.Join(r.bin, "buf"), "-base", "main")
}

// nothingLeft looks for every name that followed from the old path.
func (r repository) nothingLeft(oldPath string) {
	r.t.Helper()
	old := names.Of(oldPath)
	for _, name := range []string{old.Module, old.Buf(), old.NPM(), old.Package(), old.Identifier(), old.Java + ".", old.JavaDirectory()} {
		if left := r.naming(name); len(left) > 0 {
			r.t.Errorf("%s is left in %s", name, strings.Join(left, ", "))
		}
	}
	if path, err := workspace.ModulePath(r.dir); err != nil || path != adopted {
		r.t.Errorf("the module is %q now (%v)", path, err)
	}
}

// naming returns the files whose content, or whose path, has a name, except for the
// file that is there to remember it.
func (r repository) naming(name string) []string {
	r.t.Helper()
	files, err := workspace.Files(r.dir)
	if err != nil {
		r.t.Fatal(err)
	}
	var found []string
	for _, file := range files {
		data, err := os.ReadFile(filepath.Join(r.dir, filepath.FromSlash(file)))
		if err != nil {
			r.t.Fatal(err)
		}
		if file != upstream.File && (bytes.Contains(data, []byte(name)) || strings.Contains(file, name)) {
			found = append(found, file)
		}
	}
	return found
}
