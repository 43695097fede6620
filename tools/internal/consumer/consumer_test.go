// Package consumer shows that the generated module is of use to somebody who has
// nothing else of this repository: it packs the module as a proxy would serve it,
// and builds and runs programs against it outside of the checkout.
package consumer

import (
	"context"
	"debug/buildinfo"
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/modfile"

	"example.com/tidings/internal/testserver"
	"example.com/tidings/tools/internal/markdown"
	"example.com/tidings/tools/internal/moduleproxy"
	"example.com/tidings/tools/internal/workspace"
)

// allowedModules is all that a program takes along with the contract and the
// example events: the four that they require, and what they need.
var allowedModules = []string{
	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go",
	"connectrpc.com/connect",
	"golang.org/x/net",
	"golang.org/x/sys",
	"golang.org/x/text",
	"google.golang.org/genproto/googleapis/rpc",
	"google.golang.org/grpc",
	"google.golang.org/protobuf",
}

const programTimeout = 10 * time.Minute

func TestConsumerCallsServer(t *testing.T) {
	root := checkout(t)
	c := newConsumer(t)
	contents, err := os.ReadFile(filepath.Join("testdata", "calls", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	program := c.build(t, contents)
	c.checkModules(t, program)
	server := startServer(t, root)
	output := command(t, c.dir, c.environ, program, server.HTTP, server.GRPC)
	if want := "grpc: orders 1\nconnect: orders 2\ngrpc-web: orders 3\n"; output != want {
		t.Errorf("it printed\n%s\nwant\n%s", output, want)
	}
}

// TestGoOfDocuments builds and runs every program in Go that the documents show,
// each with a server of its own. A block of text that follows shows the output. A
// part of a program has to be formatted Go.
func TestGoOfDocuments(t *testing.T) {
	root := checkout(t)
	shown := 0
	for _, path := range documents(t, root) {
		document, err := markdown.Read(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		for i, block := range document.Blocks {
			if block.Language != "go" {
				continue
			}
			if !strings.HasPrefix(block.Text, "package ") {
				if formatted, err := format.Source([]byte(block.Text)); err != nil || string(formatted) != block.Text {
					t.Errorf("%s:%d: the part of a program isn't formatted Go: %v", path, block.Line, err)
				}
				continue
			}
			shown++
			server := startServer(t, root)
			here := strings.NewReplacer("127.0.0.1:7070", server.HTTP, "127.0.0.1:7071", server.GRPC)
			c := newConsumer(t)
			output := command(t, c.dir, c.environ, c.build(t, []byte(here.Replace(block.Text))))
			if i+1 == len(document.Blocks) || document.Blocks[i+1].Language != "text" {
				t.Errorf("%s:%d: the program's output isn't shown after it", path, block.Line)
			} else if want := document.Blocks[i+1].Text; output != want {
				t.Errorf("%s:%d: the program prints\n%s\nand the document shows\n%s", path, block.Line, output, want)
			}
		}
	}
	if shown == 0 {
		t.Error("no document shows a program in Go")
	}
}

// consumer is a module outside of the checkout.
type consumer struct {
	dir     string
	environ []string
	modules []moduleproxy.Module // The project's, that the program may use.
}

func newConsumer(t *testing.T) consumer {
	t.Helper()
	packed := pack(t)
	modules := []moduleproxy.Module{packed.modules[0]}
	for _, module := range packed.modules {
		if module.Path == modules[0].Path+"/examples/events" {
			modules = append(modules, module)
		}
	}
	c := consumer{dir: t.TempDir(), environ: packed.environ, modules: modules}
	command(t, c.dir, c.environ, "go", "mod", "init", "consumer.example.org/shop")
	for _, module := range modules {
		command(t, c.dir, c.environ, "go", "get", module.String())
	}
	return c
}

// build builds a program and returns its path.
func (c consumer) build(t *testing.T, source []byte) string {
	t.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, "main.go"), source, 0o644); err != nil {
		t.Fatal(err)
	}
	command(t, c.dir, c.environ, "go", "mod", "tidy")
	command(t, c.dir, c.environ, "go", "vet", ".")
	program := filepath.Join(c.dir, "program")
	command(t, c.dir, c.environ, "go", "build", "-o", program, ".")
	return program
}

// checkModules compares the modules that a program requires, and those that are
// in it, with those that are allowed.
func (c consumer) checkModules(t *testing.T, program string) {
	t.Helper()
	name := filepath.Join(c.dir, "go.mod")
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	file, err := modfile.Parse(name, data, nil)
	if err != nil {
		t.Fatal(err)
	}
	var required, linked []string
	for _, requirement := range file.Require {
		required = append(required, requirement.Mod.Path)
	}
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	for _, dependency := range info.Deps {
		linked = append(linked, dependency.Path)
	}
	want := slices.Clone(allowedModules)
	for _, module := range c.modules {
		want = append(want, module.Path)
	}
	slices.Sort(want)
	slices.Sort(required)
	slices.Sort(linked)
	if !slices.Equal(required, want) {
		t.Errorf("go.mod requires\n%q, want\n%q", required, want)
	}
	if !slices.Equal(linked, want) {
		t.Errorf("the program holds\n%q, want\n%q", linked, want)
	}
}

func startServer(t *testing.T, root string) *testserver.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), programTimeout)
	t.Cleanup(cancel)
	program, err := server()
	if err != nil {
		t.Fatal(err)
	}
	// The test's context ends before its cleanups, which stop the server.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), program,
		"serve", "--data-dir", filepath.Join(t.TempDir(), "data"),
		"--schemas", filepath.Join(root, "examples", "events", "events.binpb"))
	server, err := testserver.Serve(ctx, cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	return server
}

func command(t *testing.T, dir string, environ []string, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), programTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, environ
	var stderr strings.Builder
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s%s", cmd, err, output, &stderr)
	}
	return string(output)
}

func checkout(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds programs from the modules as they are published")
	}
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// documents returns the paths of the documents that may show Go.
func documents(t *testing.T, root string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for i, path := range list {
		if list[i], err = filepath.Rel(root, path); err != nil {
			t.Fatal(err)
		}
	}
	return append(list, "README.md")
}
