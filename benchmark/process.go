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
	"time"
)

// How long a server may take. Both are far more than it needs.
const (
	readyWithin = time.Minute
	stopWithin  = 20 * time.Second
)

// process is a server that was started for the benchmark.
type process struct {
	name   string
	addr   string // Where it listens for gRPC.
	http   string // Where it listens for HTTP, or empty.
	log    string // The file with what it printed.
	cmd    *exec.Cmd
	exited chan struct{} // Closed when the process has ended.
	result error         // How it ended. Read it after exited is closed.
}

// buildServer builds the server of a module into a directory, under a name, and
// writes the schemas for its flag --schemas beside it.
func buildServer(ctx context.Context, module, dir, name string) (binary, schemas string, err error) {
	binary = filepath.Join(dir, name)
	build := exec.CommandContext(ctx, "go", "build", "-C", module, "-o", binary, "./cmd/tidings")
	if out, err := build.CombinedOutput(); err != nil {
		return "", "", fmt.Errorf("build the server: %w\n%s", err, out)
	}
	schemas, err = writeSchemas(dir)
	return binary, schemas, err
}

// serverArgs are the arguments of a server at ports that are free.
func serverArgs(dataDir, sync, schemas string) []string {
	return []string{
		"serve", "--data-dir", dataDir, "--sync", sync, "--schemas", schemas,
		"--http-addr", "127.0.0.1:0", "--grpc-addr", "127.0.0.1:0",
	}
}

// startProcess starts a server in a directory of its own and waits until it has
// written its address into the file that --ready-file names. Only stop ends it:
// the end of the context ends the wait alone, and an interrupt from the terminal
// doesn't reach it, because servers take a second request to end as an order to
// drop everything.
func startProcess(ctx context.Context, name, dir, binary string, args ...string) (*process, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	ready := filepath.Join(dir, "ready.json")
	if err := os.Remove(ready); err != nil && !errors.Is(err, os.ErrNotExist) { // Of the one before.
		return nil, err
	}
	p := &process{name: name, log: filepath.Join(dir, "log"), exited: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	p.cmd = exec.CommandContext(context.WithoutCancel(ctx), binary, append(args, "--ready-file", ready)...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = ownGroup()
	err = p.cmd.Start()
	if err := errors.Join(err, log.Close()); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.result = p.cmd.Wait()
		close(p.exited)
	}()
	if p.addr, err = p.waitReady(ctx, ready); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

// readiness is what a server writes once it takes calls.
type readiness struct {
	GRPC string `json:"grpc"`
	HTTP string `json:"http,omitempty"`
}

func (p *process) waitReady(ctx context.Context, file string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for {
		var ready readiness
		if content, err := os.ReadFile(file); err == nil && json.Unmarshal(content, &ready) == nil && ready.GRPC != "" {
			p.http = ready.HTTP
			return ready.GRPC, nil
		}
		select {
		case <-poll.C:
		case <-p.exited:
			return "", fmt.Errorf("%s ended before it was ready: %w\n%s", p.name, p.result, p.lastLog())
		case <-ctx.Done():
			return "", fmt.Errorf("%s is not ready: %w\n%s", p.name, ctx.Err(), p.lastLog())
		}
	}
}

// writeReady is the server's side of waitReady.
func writeReady(file, addr string) error {
	content, err := json.Marshal(readiness{GRPC: addr})
	if err != nil {
		return err
	}
	part := file + ".part"
	if err := os.WriteFile(part, content, 0o600); err != nil {
		return err
	}
	return os.Rename(part, file)
}

// stop ends the process and waits for its end.
func (p *process) stop() error {
	select {
	case <-p.exited: // By itself.
	default:
		if err := p.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
	}
	select {
	case <-p.exited:
	case <-time.After(stopWithin):
		if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		<-p.exited
		return fmt.Errorf("%s did not stop within %v\n%s", p.name, stopWithin, p.lastLog())
	}
	if p.result != nil {
		return fmt.Errorf("%s ended badly: %w\n%s", p.name, p.result, p.lastLog())
	}
	return nil
}

// lastLog is the end of what the process printed.
func (p *process) lastLog() []byte {
	content, err := os.ReadFile(p.log)
	if err != nil {
		return nil
	}
	lines := bytes.Split(bytes.TrimSpace(content), []byte("\n"))
	const most = 20
	return bytes.Join(lines[max(0, len(lines)-most):], []byte("\n"))
}
