package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"
)

// stopWithin is how long a program may take to end. It is far more than any
// needs.
const stopWithin = 15 * time.Second

// process is a program that the demo runs.
type process struct {
	name string
	log  string // the file with what it says
	cmd  *exec.Cmd

	exited chan struct{} // closed when it has ended
	result error         // how it ended; read it after exited is closed
}

// build builds a command of a Go module, and gives the path of the program.
func build(ctx context.Context, module, command, dir string) (string, error) {
	program := filepath.Join(dir, filepath.Base(command))
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	build := exec.CommandContext(ctx, "go", "build", "-C", module, "-o", program, command)
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", filepath.Base(command), err, out)
	}
	return program, nil
}

// startProcess starts a program that logs to a file in dir. Its output goes to
// stdout or, where that is nil, to the log as well. If the context ends, so does
// the program; end must be called all the same.
func startProcess(ctx context.Context, name, dir string, stdout *os.File, program string, args ...string) (*process, error) {
	p := &process{name: name, log: filepath.Join(dir, name+".log"), exited: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	if stdout == nil {
		stdout = log
	}
	p.cmd = exec.CommandContext(ctx, program, args...)
	p.cmd.Stdout, p.cmd.Stderr = stdout, log
	// It ends by itself when it is asked to; only one that doesn't is killed.
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(os.Interrupt) }
	p.cmd.WaitDelay = stopWithin
	err = p.cmd.Start()
	// A process that has started has a handle of its own on the log.
	if err := errors.Join(err, log.Close()); err != nil {
		return nil, fmt.Errorf("start the %s: %w", name, err)
	}
	go func() {
		p.result = p.cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// end asks the program to end, if it still runs, and waits until it has.
func (p *process) end() error {
	select {
	case <-p.exited: // by itself, or because the context ended
	default:
		if err := p.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
	}
	select {
	case <-p.exited:
	case <-time.After(stopWithin):
		return errors.Join(fmt.Errorf("the %s did not stop within %v\n%s", p.name, stopWithin, p.lastLog()), p.kill())
	}
	// One that was asked to end by the end of the context ended well.
	if p.result != nil && !errors.Is(p.result, context.Canceled) {
		return fmt.Errorf("the %s ended badly: %w\n%s", p.name, p.result, p.lastLog())
	}
	return nil
}

// kill ends the program without a chance to do anything about it.
func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.exited
	return nil
}

// lastLog is the end of what the program logged.
func (p *process) lastLog() []byte {
	content, err := os.ReadFile(p.log)
	if err != nil {
		return nil
	}
	lines := bytes.Split(bytes.TrimSpace(content), []byte("\n"))
	const most = 20
	return bytes.Join(lines[max(0, len(lines)-most):], []byte("\n"))
}
