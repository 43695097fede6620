package mutation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"example.com/tidings/tools/internal/bufcache"
	"example.com/tidings/tools/internal/workspace"
)

const (
	// exitFindings is the status with which Buf says that it found something.
	exitFindings = 100
	// schemaDir is the directory of the one module that the suite makes of all.
	schemaDir = "proto"
	// configFile is the configuration that the suite holds to its purpose.
	configFile = "buf.yaml"
)

// changed are the directories of the project's schemas that are tried on. The
// others would double the time that Buf takes for each change, and hold nothing
// that these don't.
var changed = []string{"proto", "server/proto", "conformance/proto", "examples/events/proto/shop"}

// A ground is what changes are tried on: the project's schemas and configuration,
// the pinned Buf with our plugin, and the image of the schemas before a change.
type ground struct {
	buf    string
	root   string // The checkout.
	own    string // The schemas of this suite, for what the project's don't have.
	dir    string // Buf runs here, since the plugin is found from here.
	image  string // Of the project's schemas and those of this suite.
	config string // The text of buf.yaml, with the plugin built.
}

func newGround(t *testing.T) ground {
	t.Helper()
	if testing.Short() {
		t.Skip("runs Buf on many changes of the schemas")
	}
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	own, err := filepath.Abs(filepath.Join("testdata", schemaDir))
	if err != nil {
		t.Fatal(err)
	}
	g := ground{root: root, own: own, dir: t.TempDir()}
	if g.buf, err = workspace.Buf(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	if err := bufcache.FillDefault(t.Context(), filepath.Join(root, "buf.lock"), io.Discard); err != nil {
		t.Fatal(err)
	}
	if g.config, err = workspace.BuildPlugin(t.Context(), root, g.dir); err != nil {
		t.Fatal(err)
	}
	if g.config, err = workspace.OneModule(g.config, schemaDir); err != nil {
		t.Fatal(err)
	}

	before, err := g.schemas("breaking")
	if err != nil {
		t.Fatal(err)
	}
	g.image = filepath.Join(g.dir, "before.binpb")
	cmd := exec.CommandContext(t.Context(), g.buf, "build", before, "-o", g.image)
	cmd.Dir = g.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("the schemas don't compile: %v\n%s", err, out)
	}
	return g
}

// schemas makes a copy of the schemas with the configuration. Those of this suite
// have what lint refuses, so they are there for breaking rules only.
func (g ground) schemas(command string) (string, error) {
	dir, err := os.MkdirTemp(g.dir, "schemas-")
	if err != nil {
		return "", err
	}
	for _, name := range changed {
		// What is below the directory of a module stays where it is.
		_, below, _ := strings.Cut(name+"/", "proto/")
		source := os.DirFS(filepath.Join(g.root, filepath.FromSlash(name)))
		if err := os.CopyFS(filepath.Join(dir, schemaDir, filepath.FromSlash(below)), source); err != nil {
			return "", err
		}
	}
	if command == "breaking" {
		if err := os.CopyFS(filepath.Join(dir, schemaDir), os.DirFS(g.own)); err != nil {
			return "", err
		}
	}
	lock, err := os.ReadFile(filepath.Join(g.root, "buf.lock"))
	if err != nil {
		return "", err
	}
	return dir, errors.Join(
		os.WriteFile(filepath.Join(dir, "buf.lock"), lock, 0o600),
		os.WriteFile(filepath.Join(dir, configFile), []byte(g.config), 0o600))
}

// errMismatch is that Buf found something else than it has to.
var errMismatch = errors.New("the findings are wrong")

// A finding is what Buf says of a place.
type finding struct {
	Rule string `json:"type"`
	Path string `json:"path"` // Relative to the module's directory.
	Line int    `json:"start_line"`
}

func (f finding) String() string {
	return fmt.Sprintf("%s:%d: %s", f.Path, f.Line, f.Rule)
}

// try makes a change and compares what Buf finds with what it has to find:
// exactly that, and nothing else.
func (g ground) try(ctx context.Context, p pair, s side, mustFail bool) error {
	dir, err := g.schemas(p.command)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // The test's own directory goes in the end.
	protos := filepath.Join(dir, schemaDir)
	if err := s.apply(protos); err != nil {
		return err
	}
	found, err := g.run(ctx, p.command, dir)
	if err != nil {
		return err
	}
	var want []finding
	if mustFail {
		if want, err = s.expected(p.Rule, protos); err != nil {
			return err
		}
	}
	sortFindings(want)
	if !slices.Equal(found, want) {
		return fmt.Errorf("%q: %w: found %v, want %v", s.Change, errMismatch, found, want)
	}
	return nil
}

// run has Buf check the schemas in dir.
func (g ground) run(ctx context.Context, command, dir string) ([]finding, error) {
	args := []string{command, dir, "--error-format=json"}
	if command == "breaking" {
		args = append(args, "--against", g.image)
	}
	var report, complaint bytes.Buffer
	cmd := exec.CommandContext(ctx, g.buf, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = g.dir, &report, &complaint
	cmd.Env = append(os.Environ(), "GOGC=off") // It ends before it has filled the memory.
	err := cmd.Run()
	if exit := new(exec.ExitError); err != nil && (!errors.As(err, &exit) || exit.ExitCode() != exitFindings) {
		return nil, fmt.Errorf("buf %s: %w: %s", command, err, &complaint)
	}
	var found []finding
	for decoder := json.NewDecoder(&report); decoder.More(); {
		var f finding
		if decodeErr := decoder.Decode(&f); decodeErr != nil {
			return nil, decodeErr
		}
		if _, path, ok := strings.Cut(filepath.ToSlash(f.Path), filepath.Base(dir)+"/"+schemaDir+"/"); ok {
			f.Path = path
		}
		found = append(found, f)
	}
	if (err != nil) != (len(found) > 0) {
		return nil, fmt.Errorf("buf %s: status %w with the findings %v", command, err, found)
	}
	sortFindings(found)
	return slices.Compact(found), nil // Some rules say the same of many elements at once.
}

func sortFindings(findings []finding) {
	slices.SortFunc(findings, func(a, b finding) int { return strings.Compare(a.String(), b.String()) })
}

// expected returns all that Buf has to find in the changed schemas below dir.
func (s side) expected(rule, dir string) ([]finding, error) {
	file := s.File
	if s.AtFile != "" {
		file = s.AtFile
	}
	in := s.In
	if file != s.File {
		in = ""
	}
	var findings []finding
	for _, e := range append([]expectation{{rule, file, in, s.At}}, s.Also...) {
		if e.File == "" {
			e.File = file
		}
		f := finding{Rule: e.Rule, Path: e.File, Line: 1} // The file as a whole.
		switch {
		case e.File == "none":
			f.Path = ""
		case e.At != "":
			text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(e.File)))
			if err != nil {
				return nil, err
			}
			offset, err := find(e.File, string(text), e.In, e.At)
			if err != nil {
				return nil, err
			}
			f.Line = 1 + strings.Count(string(text[:offset]), "\n")
		}
		findings = append(findings, f)
	}
	return findings, nil
}
