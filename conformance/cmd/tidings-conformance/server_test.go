package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/tidings/conformance/internal/image"
)

// binary is where the tests have built this checkout's server.
var binary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "tidings")
	cmd := exec.Command("go", "build", "-o", path, "./cmd/tidings")
	cmd.Dir = filepath.Join("..", "..", "..", "server")
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", cmd, err, output)
	}
	return path, nil
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
type server struct {
	HTTP string `json:"http"`
	GRPC string `json:"grpc"`

	cmd *exec.Cmd
	// ended is closed when the process is gone.
	ended chan struct{}
}

func (s *server) url() string { return "http://" + s.HTTP }

// interrupt tells the server to stop, as its operator would.
func (s *server) interrupt(context.Context) error { return s.cmd.Process.Signal(os.Interrupt) }

// readyTimeout bounds the start of a server.
const readyTimeout = time.Minute

// startServer starts a server with the schemas of the suite, on free ports, and
// waits until it serves.
func startServer(t *testing.T, args ...string) *server {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and runs the server")
	}
	binary, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	schemas, ready := filepath.Join(dir, "conformance.binpb"), filepath.Join(dir, "ready.json")
	events, err := image.Events()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(schemas, events, 0o600); err != nil {
		t.Fatal(err)
	}
	s := &server{ended: make(chan struct{})}
	// The test's own context ends before its cleanups.
	s.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), binary, append([]string{
		"serve", "--http-addr", "127.0.0.1:0", "--grpc-addr", "127.0.0.1:0",
		"--schemas", schemas, "--ready-file", ready, "--log-level", "error",
	}, args...)...)
	if !slices.Contains(args, "--nats-url") {
		s.cmd.Args = append(s.cmd.Args, "--data-dir", filepath.Join(dir, "data"))
	}
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "TIDINGS_") {
			s.cmd.Env = append(s.cmd.Env, variable)
		}
	}
	log := new(buffer)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = s.cmd.Wait()
		close(s.ended)
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		<-s.ended
		if t.Failed() {
			t.Logf("the server's log:\n%s", log)
		}
	})
	tick, late := time.NewTicker(20*time.Millisecond), time.After(readyTimeout)
	defer tick.Stop()
	for {
		contents, err := os.ReadFile(ready)
		if err == nil {
			err = json.Unmarshal(contents, s)
		}
		if err == nil {
			return s
		}
		if !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		select {
		case <-tick.C:
		case <-s.ended:
			t.Fatalf("the server ended: %s", log)
		case <-late:
			t.Fatalf("the server doesn't serve: %s", log)
		}
	}
}

// buffer is a bytes.Buffer that is safe for concurrent use.
type buffer struct {
	mu       sync.Mutex
	contents bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.contents.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.contents.String()
}
