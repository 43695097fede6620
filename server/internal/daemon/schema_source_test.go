package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"example.com/tidings/server/internal/compat"
)

// tree makes directories, which end in a slash, and empty files.
func tree(t *testing.T, names ...string) (root string) {
	t.Helper()
	root = t.TempDir()
	for _, name := range names {
		path := filepath.Join(root, filepath.FromSlash(name))
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if strings.HasSuffix(name, "/") {
			err = os.MkdirAll(path, 0o755)
		} else if err == nil {
			err = os.WriteFile(path, nil, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// A directory that can't be built says what is missing.
func TestUnreadableDirectories(t *testing.T) {
	root := tree(t, "empty/", "workspace/buf.yaml", "older/buf.work.yaml", "odd/buf.yaml/")
	for name, want := range map[string]string{
		"empty": "has no buf.yaml", "odd": "has no buf.yaml", "workspace": "is a directory, which Buf builds", "older": "is a directory, which Buf builds",
	} {
		_, err := schemaSource{path: filepath.Join(root, name)}.read(t.Context())
		if !errors.Is(err, compat.ErrSources) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), filepath.Join(root, name)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := (schemaSource{path: filepath.Join(root, "none")}).read(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("one that isn't there: %v", err)
	}
}

func TestFollowedDirectories(t *testing.T) {
	root := tree(t, "s/buf.yaml", "s/proto/a/v1/a.proto", "s/.git/objects/", "s/node_modules/x/", "s/data/tables/", "s/datas/", "image.binpb")
	if err := os.Symlink("s", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][]string{
		"s":           {".", "s", "s/datas", "s/proto", "s/proto/a", "s/proto/a/v1"},
		"s/":          {".", "s", "s/datas", "s/proto", "s/proto/a", "s/proto/a/v1"},
		"link":        {".", "link", "link/datas", "link/proto", "link/proto/a", "link/proto/a/v1"},
		"image.binpb": {"."},
		"none":        {"."},
	} {
		leftOut, _, _ := strings.Cut(path, "/")
		list, err := schemaSource{path: root + "/" + path}.directories(filepath.Join(root, leftOut, "data"))
		if err != nil {
			t.Error(err)
		}
		for i := range list {
			list[i], _ = filepath.Rel(root, list[i])
		}
		slices.Sort(list)
		if !slices.Equal(list, want) {
			t.Errorf("%s: %q", path, list)
		}
	}
}

// Only what may change the schemas has them built anew.
func TestConcerns(t *testing.T) {
	root := tree(t, "s/buf.yaml", "s/a.proto", "s/b/", "s/README.md", "other", "image.binpb")
	s := schemaSource{path: filepath.Join(root, "s") + "/"}
	for path, want := range map[string]bool{
		"s": true, "s/buf.yaml": true, "s/buf.lock": true, "s/a.proto": true, "s/gone.proto": true, "s/b": true, "s/gone": true,
		"s/README.md": false, "other": false, "ss/a.proto": false, "..": false, ".": false,
	} {
		if got := s.concerns(filepath.Join(root, path)); got != want {
			t.Errorf("%s: %t", path, got)
		}
	}
	if !(schemaSource{path: filepath.Join(root, "image.binpb")}).concerns(filepath.Join(root, "..data")) {
		t.Error("of a file, not what it may be a link through")
	}
	t.Chdir(filepath.Join(root, "s"))
	if here := (schemaSource{path: "."}); !here.concerns("./a.proto") || here.concerns("./README.md") {
		t.Error("in the working directory")
	}
}
