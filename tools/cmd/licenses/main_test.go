package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/tidings/tools/internal/workspace"
)

func TestCommittedLicensesAreThoseOfWhatIsLinked(t *testing.T) {
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	for module, program := range map[string]string{"server": "./cmd/tidings", "conformance": "./cmd/tidings-conformance"} {
		t.Run(module, func(t *testing.T) {
			dir := filepath.Join(root, module)
			output := filepath.Join(t.TempDir(), "licenses.txt")
			relative, err := filepath.Rel(dir, output)
			if err != nil {
				t.Fatal(err)
			}
			if err := run(t.Context(), []string{"-C", dir, "-package", program, "-o", relative}); err != nil {
				t.Fatal(err)
			}
			written, err := os.ReadFile(output)
			if err != nil {
				t.Fatal(err)
			}
			committed, err := os.ReadFile(filepath.Join(dir, "THIRD_PARTY_LICENSES.txt"))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(written, committed) {
				t.Error("THIRD_PARTY_LICENSES.txt is not what the program links: run make generate")
			}
		})
	}
}

// write makes files of a directory and returns it.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFilesOfPackagesAndOfModulesAreCollected(t *testing.T) {
	dir := write(t, map[string]string{
		"go/LICENSE":             "Go's\n",
		"go/src/fmt/print.go":    "",
		"a/LICENSE.txt":          "The same \n\n",
		"a/NOTICE":               "By A",
		"a/in/COPYING":           "Of a part",
		"a/in/license.go":        "package in",
		"a/unlinked/LICENSE":     "Of what isn't linked",
		"b/LICENCE":              "\nThe  same",
		"b/licences.md":          "Nothing legal by its name",
		"b/v2/deep/down/down.go": "",
	})
	a := &goModule{Path: "example.org/a", Version: "v1.0.0", Dir: filepath.Join(dir, "a")}
	b := &goModule{Path: "example.org/b", Version: "v2.0.0", Dir: filepath.Join(dir, "b")}
	got, err := collect([]goPackage{
		{Dir: filepath.Join(dir, "go", "src", "fmt"), Standard: true},
		{Dir: b.Dir + "/v2/deep/down", Module: b},
		{Dir: a.Dir, Module: a},
		{Dir: a.Dir + "/in", Module: a},
		{Dir: a.Dir, Module: a},
	}, filepath.Join(dir, "go"))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, l := range got {
		lines = append(lines, strings.Join(l.sources, " + ")+": "+l.text)
	}
	want := []string{
		"Go, LICENSE: Go's",
		"example.org/a v1.0.0, LICENSE.txt + example.org/b v2.0.0, LICENCE: The  same",
		"example.org/a v1.0.0, NOTICE: By A",
		"example.org/a v1.0.0, in/COPYING: Of a part",
	}
	if g, w := strings.Join(lines, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("got\n%s\nwant\n%s", g, w)
	}
}

func TestPackageWithoutALicenceIsRefused(t *testing.T) {
	dir := write(t, map[string]string{"a/a.go": ""})
	a := &goModule{Path: "example.org/a", Version: "v1.0.0", Dir: filepath.Join(dir, "a")}
	_, err := collect([]goPackage{{Dir: a.Dir, Module: a}}, dir)
	if err == nil || !strings.Contains(err.Error(), "example.org/a v1.0.0") {
		t.Errorf("got %v, want an error that names the module", err)
	}
}
