// Package doctest runs the documents: every command that README.md and docs/
// show is run against a real server, and its output compared with what is shown.
package doctest

import (
	"context"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/tidings/internal/testserver"
	"example.com/tidings/tools/internal/bufcache"
	"example.com/tidings/tools/internal/markdown"
	"example.com/tidings/tools/internal/workspace"
)

// documentTimeout bounds the run of a document, with all that it compiles.
const documentTimeout = 15 * time.Minute

// The addresses that documents name, because they are the server's defaults.
const (
	defaultHTTP = "127.0.0.1:7070"
	defaultGRPC = "127.0.0.1:7071"
)

// languages are those of the blocks: sh and console are run here, go and proto
// are compiled elsewhere (see package consumer, and the schemas that the steps of
// a document write), and in the others there must be no command.
var languages = []string{"sh", "console", "go", "text", "json", "yaml", "toml", "xml", "proto", "mermaid"}

func TestCommandsOfDocuments(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs the server, and grpcurl")
	}
	needPrograms(t)
	root := checkout(t)
	fillBufCache(t, root)
	bin := filepath.Dir(program(t))
	for _, path := range documents(t, root) {
		t.Run(path, func(t *testing.T) {
			document, err := markdown.Read(filepath.Join(root, path))
			if err != nil {
				t.Fatal(err)
			}
			r := newReader(t, root, bin, path == adopting)
			for _, block := range document.Blocks {
				if block.Language != "sh" && block.Language != "console" {
					continue
				}
				for _, step := range steps(t, block.Language, block.Text, block.Line) {
					r.take(step)
				}
			}
			r.expectSuccess()
			r.stopServer()
		})
	}
}

// programs are what the documents use besides Go.
var programs = []string{"bash", "curl", "git", "make", "sed"}

// needPrograms skips the test on a machine that lacks a program, because Go alone
// has to be enough for the tests. In CI they all have to be there.
func needPrograms(t *testing.T) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err == nil {
			continue
		}
		if os.Getenv("CI") != "" {
			t.Fatalf("the documents use %s, which isn't there", program)
		}
		t.Skipf("NOT CHECKED: the documents use %s, which isn't there", program)
	}
}

// TestBlocksOfDocuments keeps commands out of blocks that aren't run.
func TestBlocksOfDocuments(t *testing.T) {
	root := checkout(t)
	for _, path := range documents(t, root) {
		document, err := markdown.Read(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range document.Blocks {
			// Its examples are lines of programs that `make interop` runs.
			isExample := path == filepath.Join("docs", "languages.md")
			if !isExample && !slices.Contains(languages, block.Language) {
				t.Errorf("%s:%d: a block of %q; allowed are %q", path, block.Line, block.Language, languages)
			}
			if block.Language != "console" && regexp.MustCompile(`(?m)^\s*\$ `).MatchString(block.Text) {
				t.Errorf("%s:%d: a prompt in a block that is not console", path, block.Line)
			}
		}
	}
}

// TestReferencesOfDocuments checks that the files and the make targets that the
// documents name exist.
func TestReferencesOfDocuments(t *testing.T) {
	root := checkout(t)
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	target := regexp.MustCompile(`^make ([a-z-]+)`)
	for _, path := range documents(t, root) {
		document, err := markdown.Read(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		for _, span := range document.Spans {
			if match := target.FindStringSubmatch(span); len(match) == 2 && !hasTarget(makefile, match[1]) {
				t.Errorf("%s: `%s`: the Makefile has no such target", path, span)
			}
		}
		for _, link := range document.Links {
			u, err := url.Parse(link)
			if err != nil || u.Scheme != "" || u.Path == "" {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(path), filepath.FromSlash(u.Path))); err != nil {
				t.Errorf("%s: link to %s: %v", path, link, err)
			}
		}
	}
}

// reader is somebody who does what a document says, in a checkout of their own or
// in an empty directory.
type reader struct {
	t       *testing.T
	ctx     context.Context //nolint:containedctx // A reader is the run of one document, and ends with it.
	dir     string
	environ []string
	shell   *shell
	server  *testserver.Server
	// serving is the step that started the server. Empty: the reader had one.
	serving step
	// adopter is nil for a reader who has a checkout. One who has none has no server
	// either before the document starts one.
	adopter *adopter
	// failed is the step before, if it failed: then it must be one whose failure
	// the document shows.
	failed *step
}

// newReader returns a reader with the programs in bin, and, unless they adopt,
// with a checkout.
func newReader(t *testing.T, root, bin string, adopts bool) *reader {
	t.Helper()
	// The test's own context ends before its cleanups.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), documentTimeout)
	t.Cleanup(cancel)
	path := bin + string(os.PathListSeparator) + os.Getenv("PATH")
	environ := append(testserver.Environ(), "PATH="+path, "GOBIN="+bin)
	dir := filepath.Join(t.TempDir(), "tidings")
	var adopter *adopter
	if adopts {
		dir, adopter = t.TempDir(), newAdopter(t, root, os.Getenv("PATH"))
		environ = append(environ, adopter.environ...)
	} else if err := workspace.Copy(root, dir); err != nil {
		t.Fatal(err)
	}
	shell, err := newShell(ctx, dir, environ)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := shell.close(); err != nil {
			t.Error(err)
		}
	})
	r := &reader{t: t, ctx: ctx, dir: dir, environ: environ, shell: shell, adopter: adopter}
	t.Cleanup(r.stopServer)
	return r
}

// take does one step.
func (r *reader) take(s step) {
	r.t.Helper()
	command := regexp.MustCompile(`\s+# .*$`).ReplaceAllString(s.command, "")
	if _, ok := exempt[command]; ok {
		checkExempt(r.t, r.dir, command)
		return
	}
	if command != "echo $?" {
		r.expectSuccess()
	}
	r.failed = nil
	if command == interrupt {
		r.serving.output += ellipsis + "\n" + s.output
		r.stopServer()
		return
	}
	if regexp.MustCompile(`^(tidings serve|make run)\b`).MatchString(command) {
		r.stopServer()
		r.serve(s)
		return
	}
	if r.server == nil && r.adopter == nil {
		r.serve(step{command: "tidings serve --log-level error --schemas examples/events/events.binpb"})
	}
	output, status, err := r.shell.run(r.here(s.command))
	if err != nil {
		r.t.Fatalf("line %d: %s: %v", s.line, s.command, err)
	}
	if s.shown && !matches(s.output, r.asDefault(output)) {
		r.t.Errorf("line %d: %s\nprints\n%s\nand the document shows\n%s", s.line, s.command, r.asDefault(output), s.output)
	}
	if status != 0 {
		r.failed = &s
		if !s.shown {
			r.t.Fatalf("line %d: %s\nexits with status %d:\n%s", s.line, s.command, status, output)
		}
	}
	if r.adopter != nil && strings.HasPrefix(command, "git push ") {
		r.adopter.pushed(r.t, r.directory())
	}
}

// directory is where the reader's shell is.
func (r *reader) directory() string {
	r.t.Helper()
	output, _, err := r.shell.run("pwd")
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.TrimSuffix(output, "\n")
}

// expectSuccess reports a failure of the step before.
func (r *reader) expectSuccess() {
	r.t.Helper()
	if r.failed != nil {
		r.t.Errorf("line %d fails, and no `echo $?` after it says so: %s", r.failed.line, r.failed.command)
	}
}

// serve starts the server with a command.
func (r *reader) serve(s step) {
	r.t.Helper()
	cmd := exec.CommandContext(r.ctx, "bash", "-c", s.command)
	cmd.Dir, cmd.Env = r.directory(), slices.Clone(r.environ)
	server, err := testserver.Serve(r.ctx, cmd)
	if errors.Is(err, testserver.ErrEnded) {
		if !s.shown || !matches(s.output, server.Output()) {
			r.t.Errorf("line %d: %s\nends with\n%s\nand the document shows\n%s", s.line, s.command, server.Output(), s.output)
		}
		return
	}
	if err != nil {
		r.t.Fatalf("line %d: %s: %v", s.line, s.command, err)
	}
	r.server, r.serving = server, s
	if _, _, err := r.shell.run("export TIDINGS_SERVER=http://" + server.HTTP); err != nil {
		r.t.Fatal(err)
	}
}

// stopServer stops the server, if there is one, and compares what it printed.
func (r *reader) stopServer() {
	r.t.Helper()
	if r.server == nil {
		return
	}
	err := r.server.Stop()
	// Make says that it was interrupted; the server itself ends in good order.
	if err != nil && !strings.HasPrefix(r.serving.command, "make ") {
		r.t.Errorf("line %d: %s: %v", r.serving.line, r.serving.command, err)
	}
	// It prints more while it stops.
	if output := r.asDefault(r.server.Output()); r.serving.shown && !matches(r.serving.output+ellipsis, output) {
		r.t.Errorf("line %d: %s\nprints\n%s\nand the document shows\n%s", r.serving.line, r.serving.command, output, r.serving.output)
	}
	r.server = nil
}

// here puts the addresses of the server into a command.
func (r *reader) here(command string) string {
	if r.server == nil {
		return command
	}
	return strings.NewReplacer(defaultHTTP, r.server.HTTP, defaultGRPC, r.server.GRPC).Replace(command)
}

// asDefault puts the default addresses back.
func (r *reader) asDefault(output string) string {
	if r.server == nil {
		return output
	}
	return strings.NewReplacer(r.server.HTTP, defaultHTTP, r.server.GRPC, defaultGRPC).Replace(output)
}

// documents returns the paths of the documents.
func documents(t *testing.T, root string) []string {
	t.Helper()
	list := []string{filepath.Join(root, "README.md")}
	for _, pattern := range []string{"docs/*.md", "docs/operations/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, found...)
	}
	for i, path := range list {
		var err error
		if list[i], err = filepath.Rel(root, path); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

func checkout(t *testing.T) string {
	t.Helper()
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// fillBufCache gives Buf the dependency of the schemas.
func fillBufCache(t *testing.T, root string) {
	t.Helper()
	if err := bufcache.FillDefault(t.Context(), filepath.Join(root, "buf.lock"), t.Output()); err != nil {
		t.Fatal(err)
	}
}
