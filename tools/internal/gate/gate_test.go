// Package gate shows that the breaking-change gate, as this repository has set it
// up, catches what it is there for: real schemas, the real configuration, and the
// real Buf.
package gate

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"google.golang.org/protobuf/types/descriptorpb"

	"example.com/tidings/tools/internal/bufcache"
	"example.com/tidings/tools/internal/schemaimage"
	"example.com/tidings/tools/internal/workspace"
)

// exitFindings is the status with which Buf says that it found something.
const exitFindings = 100

func TestBreakingGate(t *testing.T) {
	ws := newSchemas(t)
	tests := []struct {
		name string
		// What becomes of each file that the case picks.
		edit func(*testing.T, source) source
		pick func(*testing.T, schemas) []source
		// The rule that has to be among those that were broken; none: it passes.
		rule string
	}{
		{"a deleted RPC", deleteRPC, pickService, "RPC_NO_DELETE"},
		{"an added RPC", addRPC, pickService, ""},
		{"a renumbered field", renumberField, pickMessage, "FIELD_NO_DELETE"},
		{"an added field", addField, pickMessage, ""},
		{"a renamed package", renamePackage, pickPackage, "FILE_SAME_PACKAGE"},
		{"a changed go_package", changeGoPackage, pickMessage, "FILE_SAME_GO_PACKAGE"},
		{"an event on another topic", changeTopic, pickEvent, "TIDINGS_EVENT_SAME_TOPIC"},
		{"a change of nothing", func(_ *testing.T, s source) source { return s }, pickMessage, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var changed []source
			for _, file := range test.pick(t, ws) {
				changed = append(changed, test.edit(t, file))
			}
			rules := ws.breaking(t, changed)
			switch {
			case test.rule == "" && len(rules) > 0:
				t.Errorf("%s in %s was refused: %v", test.name, changed[0].path, rules)
			case test.rule != "" && !slices.Contains(rules, test.rule):
				t.Errorf("%s in %s broke %v, want %s among them", test.name, changed[0].path, rules, test.rule)
			}
		})
	}
}

// schemas is a copy of the workspace's schemas with their image.
type schemas struct {
	dir, buf, image string
	modules         []string // Their directories, as buf.yaml has them.
	set             *descriptorpb.FileDescriptorSet
}

// A source is the text of a proto file, with what the compiler found in it.
type source struct {
	path string // Relative to the copy.
	text string
	desc *descriptorpb.FileDescriptorProto
}

func newSchemas(t *testing.T) schemas {
	t.Helper()
	if testing.Short() {
		t.Skip("runs Buf on many changes of the schemas")
	}
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	ws := schemas{dir: t.TempDir()}
	if ws.buf, err = workspace.Buf(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	if err := bufcache.FillDefault(t.Context(), filepath.Join(root, "buf.lock"), io.Discard); err != nil {
		t.Fatal(err)
	}
	config, err := workspace.BuildPlugin(t.Context(), root, ws.dir)
	if err != nil {
		t.Fatal(err)
	}
	lock, err := os.ReadFile(filepath.Join(root, "buf.lock"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(
		os.WriteFile(filepath.Join(ws.dir, "buf.yaml"), []byte(config), 0o600),
		os.WriteFile(filepath.Join(ws.dir, "buf.lock"), lock, 0o600),
	); err != nil {
		t.Fatal(err)
	}
	if ws.modules, err = workspace.BufModules(root); err != nil {
		t.Fatal(err)
	}
	for _, dir := range ws.modules {
		if err := os.CopyFS(filepath.Join(ws.dir, dir), os.DirFS(filepath.Join(root, dir))); err != nil {
			t.Fatal(err)
		}
	}
	ws.image = filepath.Join(t.TempDir(), "image.binpb")
	ws.build(t, "-o", ws.image)
	data, err := os.ReadFile(ws.image)
	if err != nil {
		t.Fatal(err)
	}
	if ws.set, err = schemaimage.Parse(data); err != nil {
		t.Fatal(err)
	}
	return ws
}

// build requires that the schemas, as they stand, compile.
func (ws schemas) build(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), ws.buf, append([]string{"build"}, args...)...)
	cmd.Dir = ws.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("the schemas don't compile: %v\n%s", err, out)
	}
}

// sources returns the files of the schemas themselves, without what they import
// from elsewhere.
func (ws schemas) sources(t *testing.T) []source {
	t.Helper()
	var sources []source
	for _, file := range ws.set.GetFile() {
		for _, dir := range ws.modules {
			path := filepath.Join(dir, filepath.FromSlash(file.GetName()))
			text, err := os.ReadFile(filepath.Join(ws.dir, path))
			if errors.Is(err, os.ErrNotExist) {
				continue
			} else if err != nil {
				t.Fatal(err)
			}
			sources = append(sources, source{path: path, text: string(text), desc: file})
		}
	}
	return sources
}

// breaking puts changed files in place, has Buf compare all with the image, and
// returns the rules that were broken.
func (ws schemas) breaking(t *testing.T, changed []source) []string {
	t.Helper()
	for _, file := range changed {
		ws.swap(t, file)
	}
	// As the gate does it: by itself, each module lacks what the others have.
	now := filepath.Join(t.TempDir(), "now.binpb")
	ws.build(t, "-o", now)

	cmd := exec.CommandContext(t.Context(), ws.buf, "breaking", now, "--error-format=json", "--against", ws.image)
	cmd.Dir = ws.dir
	out, err := cmd.Output()
	if exit := new(exec.ExitError); err != nil && (!errors.As(err, &exit) || exit.ExitCode() != exitFindings) {
		t.Fatalf("buf breaking: %v", err)
	}
	broken := map[string]bool{}
	for decoder := json.NewDecoder(bytes.NewReader(out)); decoder.More(); {
		var finding struct {
			Rule string `json:"type"`
		}
		if decodeErr := decoder.Decode(&finding); decodeErr != nil {
			t.Fatal(decodeErr)
		}
		broken[finding.Rule] = true
	}
	if (err != nil) != (len(broken) > 0) {
		t.Fatalf("buf breaking: status %v with the findings %v", err, broken)
	}
	return slices.Sorted(maps.Keys(broken))
}

// swap puts a changed file in place until the test ends.
func (ws schemas) swap(t *testing.T, file source) {
	t.Helper()
	path := filepath.Join(ws.dir, file.path)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(path, before, 0o600); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(path, []byte(file.text), 0o600); err != nil {
		t.Fatal(err)
	}
}
