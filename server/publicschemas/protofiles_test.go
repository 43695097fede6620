package publicschemas

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// A tree is a directory of .proto files in a Go module.
type tree struct {
	module, version, sum string
	prefix               string   // How others import its files, before their path in the module.
	files                string   // The directory of the files, or * for all of the module.
	without              []string // Names of files that are left out.
}

// compile compiles the files of trees, which may import one another.
func compile(t *testing.T, trees []tree) []protoreflect.FileDescriptor {
	t.Helper()
	dirs := make(map[string]string) // By prefix.
	var names []string
	for _, tree := range trees {
		if dirs[tree.prefix] == "" {
			dirs[tree.prefix] = download(t, tree)
		}
		names = append(names, tree.list(t, dirs[tree.prefix])...)
	}
	compiler := protocompile.Compiler{Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
		Accessor: func(name string) (io.ReadCloser, error) {
			for prefix, dir := range dirs {
				if rest, ok := strings.CutPrefix(name, prefix); ok {
					file, err := os.Open(filepath.Join(dir, filepath.FromSlash(rest)))
					if !errors.Is(err, fs.ErrNotExist) {
						return file, err
					}
				}
			}
			return nil, fs.ErrNotExist
		},
	})}
	compiled, err := compiler.Compile(t.Context(), names...)
	if err != nil {
		t.Fatal(err)
	}
	var files []protoreflect.FileDescriptor
	for _, file := range compiled {
		files = append(files, file)
	}
	return files
}

// list returns the names of the tree's files, as others import them.
func (r tree) list(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		wanted := r.files == "*" || path.Dir(name) == r.files
		if err == nil && wanted && path.Ext(name) == ".proto" && !entry.IsDir() && !slices.Contains(r.without, path.Base(name)) {
			names = append(names, path.Join(r.prefix, name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// download has the go command fetch a module, unless its cache has it, and
// returns the directory that holds it. A module whose code isn't imported can't
// stand in go.mod, so its checksum stands here.
func download(t *testing.T, r tree) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", r.module+"@"+r.version)
	// Outside of any module, so that no go.mod or go.sum has a say.
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "GOWORK=off")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	runErr := cmd.Run()
	var result struct {
		Dir   string `json:"Dir"`
		Sum   string `json:"Sum"`
		Error string `json:"Error"`
	}
	if err := errors.Join(runErr, json.Unmarshal(stdout.Bytes(), &result)); err != nil {
		t.Fatalf("%s: %v: %s%s", cmd, err, result.Error, &stderr)
	}
	if result.Sum != r.sum {
		t.Fatalf("%s@%s has the checksum %s, want %s", r.module, r.version, result.Sum, r.sum)
	}
	return result.Dir
}
