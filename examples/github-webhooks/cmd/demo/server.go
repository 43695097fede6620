package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"example.com/tidings/internal/testserver"
)

// server is a running Tidings server with a data directory of its own.
type server struct {
	*testserver.Server // nil until it has started

	dir string // for the binary and the data; removed by stop
}

// startServer builds the server of a Go module, starts it with an image of the event
// schemas, and waits until it serves. If the context ends, so does the server; stop
// must be called all the same.
func startServer(ctx context.Context, module, schemas string) (started *server, err error) {
	dir, err := os.MkdirTemp("", "tidings-demo-")
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("the server: %w", err), s.stop())
		}
	}()
	program, err := testserver.Build(ctx, module, "tidings", dir)
	if err != nil {
		return nil, err
	}
	running, err := testserver.Serve(ctx, exec.CommandContext(ctx, program, "serve",
		"--data-dir", filepath.Join(dir, "data"), "--schemas", schemas))
	if err != nil {
		return nil, err
	}
	s.Server = running
	return s, nil
}

// stop ends the server, if it runs, and removes what it left.
func (s *server) stop() error {
	var failed error
	if s.Server != nil {
		if failed = s.Stop(); failed != nil {
			failed = fmt.Errorf("the server: %w", failed)
		}
	}
	return errors.Join(failed, os.RemoveAll(s.dir))
}
