package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"example.com/tidings/internal/testserver"
)

// process is a server that was started for the benchmark.
type process struct {
	*testserver.Server

	name string
}

// buildServer builds the server of a module into a directory below dir, under a
// name, and writes the schemas for its flag --schemas into dir.
func buildServer(ctx context.Context, module, dir, name string) (binary, schemas string, err error) {
	own := filepath.Join(dir, name+"-binary")
	if err := os.MkdirAll(own, 0o700); err != nil {
		return "", "", err
	}
	if binary, err = testserver.Build(ctx, module, "tidings", own); err != nil {
		return "", "", err
	}
	schemas, err = writeSchemas(dir)
	return binary, schemas, err
}

// serverArgs are the arguments of a server.
func serverArgs(dataDir, sync, schemas string) []string {
	return []string{"serve", "--data-dir", dataDir, "--sync", sync, "--schemas", schemas}
}

// startProcess starts a server and waits until it serves. Only stop ends it: the end
// of the context ends the wait alone, and an interrupt from the terminal doesn't
// reach it, because servers take a second request to end as an order to drop
// everything.
func startProcess(ctx context.Context, name, binary string, args ...string) (*process, error) {
	return startCommand(ctx, name, exec.CommandContext(context.WithoutCancel(ctx), binary, args...))
}

// startCommand is startProcess for a command that the end of the context doesn't kill.
func startCommand(ctx context.Context, name string, cmd *exec.Cmd) (*process, error) {
	server, err := testserver.Serve(ctx, cmd)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return &process{server, name}, nil
}

// stop ends the process and waits for its end.
func (p *process) stop() error {
	if err := p.Stop(); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	return nil
}
