package consumer

import (
	archive "archive/zip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/tidings/tools/internal/workspace"
)

// maxModuleBytes bounds what every importer downloads, with room to grow.
const maxModuleBytes = 1 << 20

func TestModuleHoldsNoNestedModule(t *testing.T) {
	root := checkout(t)
	p := pack(t).modules[0]
	packed, err := os.Stat(p.Zip)
	if err != nil {
		t.Fatal(err)
	}
	if packed.Size() > maxModuleBytes {
		t.Errorf("the module has %d bytes, want at most %d", packed.Size(), maxModuleBytes)
	}
	t.Logf("%s: %d bytes", p.Version, packed.Size())
	reader, err := archive.OpenReader(p.Zip)
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
	for _, name := range []string{"go.mod", "LICENSE", "gen/go/tidings/v1/event.pb.go", "proto/tidings/v1/event.proto", "buf.yaml", "buf.lock"} {
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
