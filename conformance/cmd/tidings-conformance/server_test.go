package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"example.com/tidings/conformance/internal/image"
	"example.com/tidings/internal/testserver"
)

// binary is where the tests have built this checkout's server.
var binary = sync.OnceValues(func() (string, error) {
	return testserver.Build(context.Background(), filepath.Join("..", "..", "..", "server"), "tidings", scratch)
})

// scratch is a directory of all tests.
var scratch string

func TestMain(m *testing.M) {
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	var err error
	if scratch, err = os.MkdirTemp("", "tidings-conformance-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	return m.Run()
}

// pinnedBuf returns the path of the Buf that the tools' module pins. It is built
// where it isn't in Go's cache.
func pinnedBuf(t *testing.T) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "tool", "-n", "buf")
	cmd.Dir = filepath.Join("..", "..", "..", "tools")
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", cmd, err)
	}
	return strings.TrimSpace(string(output))
}

// server is this checkout's server, as a process of its own.
type server struct{ *testserver.Server }

func (s *server) url() string { return "http://" + s.HTTP }

// interrupt tells the server to stop, as its operator would.
func (s *server) interrupt(context.Context) error { return s.Signal(os.Interrupt) }

// startServer starts a server with the schemas of the suite, on free ports, and
// waits until it serves.
func startServer(t *testing.T, args ...string) *server {
	t.Helper()
	binary, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	schemas := filepath.Join(dir, "conformance.binpb")
	events, err := image.Events()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(schemas, events, 0o600); err != nil {
		t.Fatal(err)
	}
	// The test's own context ends before its cleanups.
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), binary,
		append([]string{"serve", "--schemas", schemas, "--log-level", "error"}, args...)...)
	if !slices.Contains(args, "--nats-url") {
		cmd.Args = append(cmd.Args, "--data-dir", filepath.Join(dir, "data"))
	}
	running, err := testserver.Serve(t.Context(), cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = running.Kill() // Most tests don't stop it.
		if t.Failed() {
			t.Logf("the server's log:\n%s", running.Output())
		}
	})
	return &server{running}
}
