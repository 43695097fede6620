// Package testserver runs this checkout's server for tests, as its users run it:
// as a process of its own.
package testserver

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
	"syscall"
	"time"
)

// Binary is the name of the program that Build builds.
const Binary = "tidings"

// Build builds the program of the checkout at root into the directory dir.
func Build(ctx context.Context, root, dir string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, Binary), "./cmd/tidings")
	cmd.Dir = filepath.Join(root, "server")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", cmd, err, output)
	}
	return nil
}

// Environ is the environment without what would set up a server or reach into a
// make that runs the tests.
func Environ() []string {
	return slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return strings.HasPrefix(name, "TIDINGS_") || slices.Contains([]string{"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES"}, name)
	})
}

// Server is a running server.
type Server struct {
	// HTTP and GRPC are the addresses that it listens on.
	HTTP string `json:"http"`
	GRPC string `json:"grpc"`

	cmd    *exec.Cmd
	output buffer
	ended  chan struct{} // Closed when the process is gone, and err set.
	err    error
}

// ErrEnded says that the process ended before it served.
var ErrEnded = errors.New("the server ended before it served")

// Start starts a command that runs a server, itself or through others such as
// make, and waits until it serves or the context ends. The server gets free
// ports. A command that ends before gives ErrEnded and a Server that holds its
// output. The command is one of exec.CommandContext; the end of its own context
// kills the server.
func Start(ctx context.Context, cmd *exec.Cmd) (*Server, error) {
	dir, err := os.MkdirTemp("", "tidings-ready-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ready := filepath.Join(dir, "ready.json")
	if cmd.Env == nil {
		cmd.Env = Environ()
	}
	cmd.Env = append(cmd.Env, "TIDINGS_HTTP_ADDR=127.0.0.1:0", "TIDINGS_GRPC_ADDR=127.0.0.1:0", "TIDINGS_READY_FILE="+ready)
	s := &Server{cmd: cmd, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &s.output, &s.output
	// A group of its own gets the signal as a whole, as from a terminal.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return s.signal(syscall.SIGKILL) }
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		s.err = cmd.Wait()
		close(s.ended)
	}()
	if err := s.awaitReady(ctx, ready); err != nil {
		if !errors.Is(err, ErrEnded) {
			_ = s.signal(syscall.SIGKILL)
			<-s.ended
		}
		return s, err
	}
	return s, nil
}

// awaitReady waits for the file that the server writes in one step.
func (s *Server) awaitReady(ctx context.Context, ready string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		contents, err := os.ReadFile(ready)
		if err == nil {
			return json.Unmarshal(contents, s)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		select {
		case <-tick.C:
		case <-s.ended:
			return ErrEnded
		case <-ctx.Done():
			return fmt.Errorf("the server doesn't serve: %w: %s", ctx.Err(), s.Output())
		}
	}
}

// Output is what the command has printed so far.
func (s *Server) Output() string { return s.output.String() }

// Stop stops the server as Ctrl-C does, waits until it is gone, and returns how
// its process ended.
func (s *Server) Stop() error {
	if err := s.signal(syscall.SIGINT); err != nil {
		return err
	}
	<-s.ended
	return s.err
}

// signal sends a signal to the group of the command.
func (s *Server) signal(signal syscall.Signal) error {
	select {
	case <-s.ended:
		return nil
	default:
		return syscall.Kill(-s.cmd.Process.Pid, signal)
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
