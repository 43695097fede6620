package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"
)

// How long the server may take. Both are far more than it needs.
const (
	readyWithin = time.Minute
	stopWithin  = 15 * time.Second
)

// server is a running Tidings server with a data directory of its own.
type server struct {
	addr string // native gRPC

	dir    string // for the binary, the data and the log; removed by stop
	cmd    *exec.Cmd
	exited chan struct{} // closed when the process has ended
	result error         // how it ended; read it after exited is closed
}

// startServer builds the server of a Go module, starts it on free ports and
// waits until it is ready. If the context ends, so does the server; stop must
// be called all the same.
func startServer(ctx context.Context, module string) (started *server, err error) {
	dir, err := os.MkdirTemp("", "tidings-demo-")
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir, exited: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()

	binary, ready := filepath.Join(dir, "tidings"), filepath.Join(dir, "ready.json")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	build := exec.CommandContext(ctx, "go", "build", "-C", module, "-o", binary, "./cmd/tidings")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the server: %w\n%s", err, out)
	}
	if err := s.start(ctx, binary, ready); err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	if s.addr, err = s.waitReady(ctx, ready); err != nil {
		return nil, err
	}
	return s, nil
}

// start starts the process and watches for its end.
func (s *server) start(ctx context.Context, binary, ready string) error {
	log, err := os.Create(s.logFile())
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, binary, "serve",
		"--data-dir", filepath.Join(s.dir, "data"),
		"--http-addr", "127.0.0.1:0", "--grpc-addr", "127.0.0.1:0",
		"--ready-file", ready)
	cmd.Stdout, cmd.Stderr = log, log
	// The server ends by itself when it is asked to; only one that doesn't is
	// killed.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = stopWithin
	err = cmd.Start()
	// A process that has started has a handle of its own on the log.
	if err := errors.Join(err, log.Close()); err != nil {
		return err
	}
	s.cmd = cmd
	go func() {
		s.result = cmd.Wait()
		close(s.exited)
	}()
	return nil
}

func (s *server) logFile() string { return filepath.Join(s.dir, "server.log") }

// waitReady waits for the file in which the server says where it listens.
func (s *server) waitReady(ctx context.Context, file string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for {
		var addresses struct {
			GRPC string `json:"grpc"`
		}
		if content, err := os.ReadFile(file); err == nil && json.Unmarshal(content, &addresses) == nil && addresses.GRPC != "" {
			return addresses.GRPC, nil
		}
		select {
		case <-poll.C:
		case <-s.exited:
			return "", fmt.Errorf("the server ended before it was ready: %w\n%s", s.result, s.lastLog())
		case <-ctx.Done():
			return "", fmt.Errorf("the server is not ready: %w\n%s", ctx.Err(), s.lastLog())
		}
	}
}

// stop ends the server, if it runs, and removes what it left.
func (s *server) stop() error {
	var failed error
	if s.cmd != nil {
		failed = s.end()
	}
	return errors.Join(failed, os.RemoveAll(s.dir))
}

func (s *server) end() error {
	select {
	case <-s.exited: // by itself, or because the context ended
	default:
		if err := s.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
	}
	select {
	case <-s.exited:
	case <-time.After(stopWithin):
		if err := s.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		<-s.exited
		return fmt.Errorf("the server did not stop within %v\n%s", stopWithin, s.lastLog())
	}
	// A server that was asked to end by the end of the context ended well.
	if s.result != nil && !errors.Is(s.result, context.Canceled) {
		return fmt.Errorf("the server ended badly: %w\n%s", s.result, s.lastLog())
	}
	return nil
}

// lastLog is the end of what the server logged.
func (s *server) lastLog() []byte {
	content, err := os.ReadFile(s.logFile())
	if err != nil {
		return nil
	}
	lines := bytes.Split(bytes.TrimSpace(content), []byte("\n"))
	const most = 20
	return bytes.Join(lines[max(0, len(lines)-most):], []byte("\n"))
}
