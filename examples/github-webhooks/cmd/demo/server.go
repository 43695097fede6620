package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// readyWithin is how long the server may take to start. It is far more than it
// needs.
const readyWithin = time.Minute

// server is a running Tidings server with a data directory of its own.
type server struct {
	*process // nil until it has started

	addr string // native gRPC
	dir  string // for the binary, the data and the log; removed by stop
}

// startServer builds the server of a Go module, starts it with an image of the
// event schemas on free ports, and waits until it is ready. If the context ends, so does the server; stop must
// be called all the same.
func startServer(ctx context.Context, module, schemas string) (started *server, err error) {
	dir, err := os.MkdirTemp("", "tidings-demo-")
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()

	program, err := build(ctx, module, "./cmd/tidings", dir)
	if err != nil {
		return nil, err
	}
	ready := filepath.Join(dir, "ready.json")
	s.process, err = startProcess(ctx, "server", dir, nil, program, "serve",
		"--data-dir", filepath.Join(dir, "data"), "--schemas", schemas,
		"--http-addr", "127.0.0.1:0", "--grpc-addr", "127.0.0.1:0",
		"--ready-file", ready)
	if err != nil {
		return nil, err
	}
	if s.addr, err = s.waitReady(ctx, ready); err != nil {
		return nil, err
	}
	return s, nil
}

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
	if s.process != nil {
		failed = s.end()
	}
	return errors.Join(failed, os.RemoveAll(s.dir))
}
