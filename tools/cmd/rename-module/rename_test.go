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
	"example.com/tidings/tools/internal/workspace"
)

const adopted = "git.example.org/acme/events"

// TestRenameLeavesNothingBehind does with a copy of this checkout what `make
// module` does, looks for the old path in every file and builds every module.
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
	copied := copyCheckout(t, root)
	addRelease(t, copied)
	if n := len(naming(t, copied, oldPath)); n < 10 {
		t.Fatalf("only %d files name %s before the change, so finding none afterwards shows nothing", n, oldPath)
	}

	if err := run([]string{"-root", copied, adopted}, io.Discard); err != nil {
		t.Fatal(err)
	}
	generate(t, copied)

	if left := naming(t, copied, oldPath); len(left) > 0 {
		t.Errorf("%s is left in %s", oldPath, strings.Join(left, ", "))
	}
	if path, err := workspace.ModulePath(copied); err != nil || path != adopted {
		t.Errorf("the module is %q now (%v)", path, err)
	}
	for _, name := range naming(t, copied, adopted) {
		if filepath.Base(name) != "go.mod" {
			continue
		}
		dir := filepath.Join(copied, filepath.Dir(name))
		if command(t, dir, "go", "list", "./...") != "" {
			command(t, dir, "go", "build", "-o", os.DevNull, "./...")
		}
	}
	// The release's image was renamed with the schemas, so it still holds them.
	image := filepath.Join(t.TempDir(), "image.binpb")
	command(t, copied, buf(t, copied), "build", "-o", image)
	command(t, copied, buf(t, copied), "breaking", image, "--against", release)
}

// generate generates the code of all modules, as make does.
func generate(t *testing.T, copied string) {
	t.Helper()
	files, err := workspace.Files(copied)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if filepath.Base(name) != "buf.gen.yaml" || !strings.Contains(read(t, filepath.Join(copied, name)), "protoc-gen-go") {
			continue // A template of another language.
		}
		dir, args := copied, []string{"generate", "--template", name}
		if _, err := os.Stat(filepath.Join(copied, filepath.Dir(name), "buf.yaml")); err == nil {
			// A repository of its own.
			dir, args = filepath.Join(copied, filepath.Dir(name)), []string{"generate"}
		}
		command(t, dir, buf(t, copied), args...)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
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

// release is an image that the test adds, newer than any the project has.
const release = "baseline/v99.0.0.binpb"

func addRelease(t *testing.T, copied string) {
	t.Helper()
	if err := bufcache.FillDefault(t.Context(), filepath.Join(copied, "buf.lock"), io.Discard); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(copied, "baseline"), 0o755); err != nil {
		t.Fatal(err)
	}
	command(t, copied, buf(t, copied), "build", "-o", release)
}

func copyCheckout(t *testing.T, root string) string {
	t.Helper()
	copied := t.TempDir()
	if err := workspace.Copy(root, copied); err != nil {
		t.Fatal(err)
	}
	return copied
}

// naming returns the files below root whose content, or whose name, has a path.
func naming(t *testing.T, root, path string) []string {
	t.Helper()
	files, err := workspace.Files(root)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, name := range files {
		data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, []byte(path)) || strings.Contains(name, path) {
			found = append(found, name)
		}
	}
	return found
}

func buf(t *testing.T, root string) string {
	t.Helper()
	path, err := workspace.Buf(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func command(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s in %s: %v\n%s%s", filepath.Base(name), strings.Join(args, " "), dir, err, out, &stderr)
	}
	return strings.TrimSpace(string(out))
}
