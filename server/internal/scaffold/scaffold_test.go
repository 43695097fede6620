package scaffold

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"

	"example.com/tidings/server/internal/compat/buftest"
)

// paths are modules that somebody may have, with what is made of them.
var paths = map[string]struct{ organization, tools, release, address string }{
	"git.example.org/acme/events":          {"acme", "git.example.org/acme/events/tools", "v1.0.0", "https://git.example.org/acme/events.git"},
	"git.example.org/acme/events.git":      {"acme", "git.example.org/acme/events.git/tools", "v1.0.0", "https://git.example.org/acme/events.git"},
	"git.example.org/acme/events/v2":       {"acme", "git.example.org/acme/events/tools", "v2.0.0", "https://git.example.org/acme/events.git"},
	"git.example.org/acme/team/events":     {"team", "git.example.org/acme/team/events/tools", "v1.0.0", "https://git.example.org/acme/team/events.git"},
	"git.example.org/Acme-Corp.inc/events": {"acme_corp_inc", "git.example.org/Acme-Corp.inc/events/tools", "v1.0.0", "https://git.example.org/Acme-Corp.inc/events.git"},
	"git.example.org/~ada/events":          {"ada", "git.example.org/~ada/events/tools", "v1.0.0", "https://git.example.org/~ada/events.git"},
	"git.example.org/3m/events":            {"org3m", "git.example.org/3m/events/tools", "v1.0.0", "https://git.example.org/3m/events.git"},
	"git.example.org/_/events":             {"example", "git.example.org/_/events/tools", "v1.0.0", "https://git.example.org/_/events.git"},
	"git.example.org/internal/events":      {"example", "git.example.org/internal/events/tools", "v1.0.0", "https://git.example.org/internal/events.git"},
	"git.acme.org/events":                  {"acme", "git.acme.org/events/tools", "v1.0.0", "https://git.acme.org/events.git"},
	"git.acme.org/events/v3":               {"acme", "git.acme.org/events/tools", "v3.0.0", "https://git.acme.org/events.git"},
	"gopkg.in/acme/events.v2":              {"acme", "gopkg.in/acme/events/tools", "v2.0.0", "https://gopkg.in/acme/events.git"},
}

func TestNames(t *testing.T) {
	for module, want := range paths {
		r := made(t, module)
		got := want
		got.organization, got.tools, got.release, got.address = r.Organization(), r.Tools(), r.Release(), r.Address()
		if got != want {
			t.Errorf("%s: %+v, want %+v", module, got, want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for module, want := range map[string]string{
		"":                                    `"" is not a module path`,
		"events":                              "missing dot in first path element",
		"git.example.org":                     "there is no name behind the host",
		"git.example.org/":                    "trailing slash",
		"/git.example.org/acme/events":        "empty path element",
		"git.example.org/acme/events/v1":      "invalid version",
		"git.example.org/acme/../events":      `invalid path element ".."`,
		"git.example.org/acme/my events":      "invalid char ' '",
		"git.example.org/acme/\"events":       "invalid char '\"'",
		"Git.example.org/acme/events":         "invalid char 'G' in first path element",
		"https://git.example.org/acme/events": "is the address of a repository",
		"git@git.example.org:acme/events.git": "is the address of a repository",
		"git.example.org/acme/events@v1.0.0":  "invalid char '@'",
	} {
		_, err := New(module, "1.2.3")
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "git.example.org/acme/events") {
			t.Errorf("New(%q): %v, want %q in it and an example", module, err, want)
		}
	}
}

// written are the files of every repository.
var written = []string{
	".github/workflows/events.yaml", ".gitignore", "README.md", "buf.gen.yaml", "buf.lock", "buf.yaml", "go.mod",
	"proto/acme/parcels/v1/parcels.proto", "third_party/tidings/options/v1/field_behavior.proto",
	"third_party/tidings/options/v1/options.proto", "tools/go.mod",
}

func TestWrite(t *testing.T) {
	for name, prepare := range map[string]func(dir string) error{
		"a new directory":        func(string) error { return nil },
		"an empty directory":     func(dir string) error { return os.MkdirAll(dir, 0o700) },
		"one with Git's own":     func(dir string) error { return os.MkdirAll(filepath.Join(dir, ".git"), 0o700) },
		"directories above it":   func(dir string) error { return os.MkdirAll(filepath.Dir(dir), 0o700) },
		"a link to an empty one": func(dir string) error { return os.Symlink(t.TempDir(), dir) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "events")
			if err := prepare(dir); err != nil {
				t.Fatal(err)
			}
			if err := made(t, "git.example.org/acme/events").Write(dir); err != nil {
				t.Fatal(err)
			}
			for _, file := range written {
				if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(file))); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestWriteRefuses(t *testing.T) {
	r, dir := made(t, "git.example.org/acme/events"), t.TempDir()
	file := filepath.Join(dir, "go.mod")
	if err := os.WriteFile(file, []byte("module mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for place, want := range map[string]string{
		dir:                           "is not empty: it has go.mod",
		file:                          "not a directory",
		filepath.Join(file, "events"): "not a directory",
	} {
		if err := r.Write(place); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Write(%s): %v, want %q", place, err, want)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("a refused directory has %v, %v", left, err)
	}
}

// TestFiles looks at what is written for all kinds of paths.
func TestFiles(t *testing.T) {
	for module, names := range paths {
		files := filesOf(t, module)
		for name, content := range files {
			if bytes.Contains(content, []byte("[[")) || bytes.Contains(content, []byte("ORGANIZATION")) {
				t.Errorf("%s: %s isn't filled in", module, name)
			}
			if !bytes.HasSuffix(content, []byte("\n")) || bytes.HasSuffix(content, []byte("\n\n")) {
				t.Errorf("%s: %s doesn't end with one end of line", module, name)
			}
		}
		proto := string(files["proto/"+names.organization+"/parcels/v1/parcels.proto"])
		for _, want := range []string{
			"\npackage " + names.organization + ".parcels.v1;\n",
			"\noption go_package = \"" + module + "/gen/" + names.organization + "/parcels/v1;parcelsv1\";\n",
		} {
			if !strings.Contains(proto, want) {
				t.Errorf("%s: the event has no %q:\n%s", module, want, proto)
			}
		}
		for name, want := range map[string]string{"go.mod": module, "tools/go.mod": names.tools} {
			if got := goMod(t, name, files[name]).Module.Mod.Path; got != want {
				t.Errorf("%s: %s is of the module %s, want %s", module, name, got, want)
			}
		}
	}
	if got := slices.Sorted(maps.Keys(filesOf(t, "git.example.org/acme/events"))); !slices.Equal(got, written) {
		t.Errorf("written are %q, want %q", got, written)
	}
}

func TestFormat(t *testing.T) {
	buf := buftest.Need(t)
	for module := range paths {
		dir := filepath.Join(t.TempDir(), "events")
		if err := made(t, module).Write(dir); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), buf, "format", "--diff", "--exit-code")
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %s: %v\n%s", module, cmd, err, out)
		}
	}
}

func made(t *testing.T, module string) Repository {
	t.Helper()
	r, err := New(module, "1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func filesOf(t *testing.T, module string) map[string][]byte {
	t.Helper()
	files, err := made(t, module).files()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func goMod(t *testing.T, name string, content []byte) *modfile.File {
	t.Helper()
	file, err := modfile.Parse(name, content, nil)
	if err != nil {
		t.Fatal(err)
	}
	return file
}
