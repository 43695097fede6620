package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"example.com/tidings/internal/testserver"
)

// pause is how long each worker rests after a line, so that there is something
// left to do when one of them is killed.
const pause = 5 * time.Millisecond

// team is workers that share a subscription, each in a process of its own.
type team struct {
	workers map[string]*testserver.Process // those that run, by name
	dir     string                         // for the program; removed by stop

	// lines is where all workers write. It is one pipe, so that lines are in the
	// order in which they were written, whoever wrote them. They are far shorter
	// than what a pipe takes in one piece.
	lines *os.File
}

// startTeam builds the worker of a Go module and starts some. If the context
// ends, so do they; stop must be called all the same.
func startTeam(ctx context.Context, module, addr string, names []string) (started *team, err error) {
	dir, err := os.MkdirTemp("", "tidings-demo-")
	if err != nil {
		return nil, err
	}
	t := &team{dir: dir, workers: make(map[string]*testserver.Process)}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.stop())
		}
	}()
	program, err := testserver.Build(ctx, module, "worker", dir)
	if err != nil {
		return nil, err
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	t.lines = reader
	// The workers have handles of their own: the pipe ends with the last of them.
	defer func() { err = errors.Join(err, writer.Close()) }()
	for _, name := range names {
		worker := exec.CommandContext(ctx, program,
			"-addr", addr, "-subscription", subscription, "-name", name, "-pause", pause.String())
		worker.Stdout = writer
		running, err := testserver.Start(worker)
		if err != nil {
			return nil, fmt.Errorf("start the %s: %w", name, err)
		}
		t.workers[name] = running
	}
	return t, nil
}

// kill ends a worker in the midst of its work.
func (t *team) kill(name string) error {
	worker := t.workers[name]
	if worker == nil {
		return fmt.Errorf("there is no worker %q to kill", name)
	}
	delete(t.workers, name)
	return worker.Kill()
}

// end has the workers end. After that, lines ends too.
func (t *team) end() error {
	var failed []error
	for name, worker := range t.workers {
		if err := worker.Stop(); err != nil {
			failed = append(failed, fmt.Errorf("the %s: %w", name, err))
		}
	}
	clear(t.workers)
	return errors.Join(failed...)
}

// stop ends the workers that still run and removes what they left.
func (t *team) stop() error {
	failed := []error{t.end()}
	if t.lines != nil {
		failed = append(failed, t.lines.Close())
	}
	return errors.Join(append(failed, os.RemoveAll(t.dir))...)
}
