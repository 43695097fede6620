// Package architecture holds the repository to the boundaries on which its
// importers and its readers count.
package architecture

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/mod/modfile"

	"example.com/tidings/tools/internal/workspace"
)

// allowedRequirements is all that an importer of the generated code and the client has
// to take along. Another entry is a change for every one of them.
var allowedRequirements = []string{
	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go",
	"connectrpc.com/connect",
	"google.golang.org/genproto/googleapis/rpc",
	"google.golang.org/grpc",
	"google.golang.org/protobuf",
}

func TestRootModuleRequiresOnlyWhatItsImportersNeed(t *testing.T) {
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(root, "go.mod")
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	file, err := modfile.Parse(name, data, nil)
	if err != nil {
		t.Fatal(err)
	}
	var direct []string
	for _, requirement := range file.Require {
		if !requirement.Indirect {
			direct = append(direct, requirement.Mod.Path)
		}
	}
	slices.Sort(direct)
	if !slices.Equal(direct, allowedRequirements) {
		t.Errorf("go.mod requires\n%q, want exactly\n%q", direct, allowedRequirements)
	}
	// They have no effect for importers, so what builds here might not build there.
	if len(file.Replace) > 0 || len(file.Exclude) > 0 {
		t.Error("go.mod replaces or excludes modules")
	}
}

// TestModulesReplaceEachOther holds every module of the checkout to the others as
// they stand beside it. Only what is published requires them at a release.
func TestModulesReplaceEachOther(t *testing.T) {
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	dirs, err := workspace.GoModules(root)
	if err != nil {
		t.Fatal(err)
	}
	files, lies := make(map[string]*modfile.File), make(map[string]string)
	for _, dir := range dirs {
		name := filepath.Join(root, dir, "go.mod")
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if files[dir], err = modfile.Parse(name, data, nil); err != nil {
			t.Fatal(err)
		}
		lies[files[dir].Module.Mod.Path] = dir
	}
	checked := 0
	for dir, file := range files {
		replaced := make(map[string]string)
		for _, r := range file.Replace {
			replaced[r.Old.Path] = filepath.Join(dir, filepath.FromSlash(r.New.Path))
		}
		for _, r := range file.Require {
			want, ours := lies[r.Mod.Path]
			if !ours {
				continue
			}
			checked++
			if got, ok := replaced[r.Mod.Path]; !ok || got != want {
				t.Errorf("%s/go.mod requires %s without a replace line that leads to %s", dir, r.Mod.Path, want)
			}
		}
	}
	if checked == 0 {
		t.Error("no module requires another, so nothing was checked")
	}
}
