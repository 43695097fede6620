package consumer

import (
	archive "archive/zip"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"

	"example.com/tidings/tools/internal/workspace"
)

// maxModuleBytes bounds what every importer downloads, with room to grow.
const maxModuleBytes = 1 << 20

// packed is the root module as a module proxy has it.
type packed struct {
	module.Version

	dir  string // A directory that a file:// GOPROXY can name.
	zip  string
	size int64
}

// pack packs the root module of the checkout.
func pack(t *testing.T, root string) packed {
	t.Helper()
	path, err := workspace.ModulePath(root)
	if err != nil {
		t.Fatal(err)
	}
	version, err := os.ReadFile(filepath.Join(root, "VERSION"))
	if err != nil {
		t.Fatal(err)
	}
	p := packed{Version: module.Version{Path: path, Version: "v" + strings.TrimSpace(string(version))}, dir: t.TempDir()}
	escaped, err := module.EscapePath(path)
	if err != nil {
		t.Fatal(err)
	}
	base := filepath.Join(p.dir, filepath.FromSlash(escaped), "@v")
	p.zip = filepath.Join(base, p.Version.Version+".zip")

	var content bytes.Buffer
	// What Git ignores is no part of the module; what is new and not committed is.
	if err := zip.CreateFromDir(&content, p.Version, projectFiles(t, root)); err != nil {
		t.Fatal(err)
	}
	p.size = int64(content.Len())
	info, err := json.Marshal(map[string]any{"Version": p.Version.Version, "Time": time.Now().UTC()})
	if err != nil {
		t.Fatal(err)
	}
	gomod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for name, contents := range map[string][]byte{
		filepath.Join(base, "list"):                    []byte(p.Version.Version + "\n"),
		filepath.Join(base, p.Version.Version+".info"): info,
		filepath.Join(base, p.Version.Version+".mod"):  gomod,
		p.zip: content.Bytes(),
	} {
		writeFile(t, name, contents)
	}
	return p
}

// projectFiles copies the project's files to a directory of their own.
func projectFiles(t *testing.T, root string) string {
	t.Helper()
	files, err := workspace.Files(root)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range files {
		contents, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, name), contents)
	}
	return dir
}

func writeFile(t *testing.T, name string, contents []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, contents, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestModuleHoldsNoNestedModule(t *testing.T) {
	root := checkout(t)
	p := pack(t, root)
	if p.size > maxModuleBytes {
		t.Errorf("the module has %d bytes, want at most %d", p.size, maxModuleBytes)
	}
	t.Logf("%s: %d bytes", p.Version, p.size)
	reader, err := archive.OpenReader(p.zip)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := reader.Close(); err != nil {
			t.Error(err)
		}
	}()
	prefix := p.String() + "/"
	found := map[string]bool{}
	for _, file := range reader.File {
		name, ok := strings.CutPrefix(file.Name, prefix)
		if !ok {
			t.Errorf("%s is not below %s", file.Name, prefix)
		}
		found[name] = true
		if name != "go.mod" && filepath.Base(name) == "go.mod" {
			t.Errorf("the module holds the module of %s", name)
		}
		for _, nested := range nestedModules(t, root) {
			if strings.HasPrefix(name, nested+"/") {
				t.Errorf("the module holds %s of the module %s", name, nested)
			}
		}
	}
	for _, name := range []string{"go.mod", "LICENSE", "gen/go/tidings/v1/event.pb.go", "proto/tidings/v1/event.proto"} {
		if !found[name] {
			t.Errorf("the module lacks %s", name)
		}
	}
}

// nestedModules returns the directories of the modules below the root.
func nestedModules(t *testing.T, root string) []string {
	t.Helper()
	files, err := workspace.Files(root)
	if err != nil {
		t.Fatal(err)
	}
	var nested []string
	for _, name := range files {
		if dir, ok := strings.CutSuffix(name, "/go.mod"); ok {
			nested = append(nested, dir)
		}
	}
	if len(nested) == 0 {
		t.Fatal("there is no nested module, so nothing was checked")
	}
	return nested
}
