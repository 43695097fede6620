package schemarules

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"buf.build/go/bufplugin/check"
	"buf.build/go/bufplugin/check/checktest"

	"example.com/tidings/tools/internal/bufcache"
	"example.com/tidings/tools/internal/workspace"
)

func TestSpec(t *testing.T) {
	checktest.SpecTest(t, Spec())
}

// schemaFiles are the texts of proto files by their path.
type schemaFiles map[string]string

// A finding is what the plugin reports of a place.
type finding struct {
	rule    string
	file    string // Empty: it isn't about a file that there is.
	line    int    // From 1.
	message string
}

// run compiles schemas before and after a change, asks the plugin over its
// protocol, and returns what it found. A lint rule needs no schemas before.
func run(t *testing.T, was, is schemaFiles, rules ...string) []finding {
	t.Helper()
	spec := &checktest.RequestSpec{RuleIDs: rules}
	if was != nil {
		spec.AgainstFiles = was.write(t)
	}
	spec.Files = is.write(t)
	request, err := spec.ToRequest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	client, err := check.NewClientForSpec(Spec())
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Check(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	var findings []finding
	for _, annotation := range response.Annotations() {
		f := finding{rule: annotation.RuleID(), message: annotation.Message()}
		if place := annotation.FileLocation(); place != nil {
			f.file, f.line = place.FileDescriptor().ProtoreflectFileDescriptor().Path(), place.StartLine()+1
		}
		findings = append(findings, f)
	}
	return findings
}

func (files schemaFiles) write(t *testing.T) *checktest.ProtoFileSpec {
	t.Helper()
	dir := t.TempDir()
	spec := &checktest.ProtoFileSpec{DirPaths: []string{dir, filepath.Join(root, "proto"), dependency}}
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		spec.FilePaths = append(spec.FilePaths, name)
	}
	slices.Sort(spec.FilePaths)
	return spec
}

// root is the checkout, and dependency the directory of the schemas that buf.lock
// pins.
var root, dependency string

func TestMain(m *testing.M) {
	cache, err := os.MkdirTemp("", "schemarules-*")
	if err == nil {
		err = findSchemas(cache)
	}
	status := 1
	if err == nil {
		status = m.Run()
	} else {
		fmt.Fprintln(os.Stderr, err)
	}
	_ = os.RemoveAll(cache)
	os.Exit(status)
}

func findSchemas(cache string) error {
	var err error
	if root, err = workspace.Root(); err != nil {
		return err
	}
	if err := bufcache.Fill(context.Background(), filepath.Join(root, "buf.lock"), cache, io.Discard); err != nil {
		return err
	}
	found, err := filepath.Glob(filepath.Join(cache, "v3", "modules", "b5", "buf.build", "bufbuild", "protovalidate", "*", "files"))
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("the schemas of protovalidate aren't in Buf's cache: %v", found)
	}
	if err == nil {
		dependency = found[0]
	}
	return err
}
