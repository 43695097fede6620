// Package testserver builds and runs this checkout's programs, above all the
// server, as their users run them: as processes of their own. It is for tests,
// examples and measurements.
package testserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// StopWithin is how long a process has to end after it was asked to. It is far more
// than one needs.
const StopWithin = 20 * time.Second

// ErrNotStopped is the error of a process that didn't end when it was asked to, and
// was killed.
var ErrNotStopped = errors.New("it didn't stop when it was told to")

// Build builds the program ./cmd/NAME of the Go module in the directory module into
// the directory dir, and returns its path. It has no symbols for a debugger, which take
// half of the time to link.
func Build(ctx context.Context, module, name, dir string) (program string, err error) {
	program = filepath.Join(dir, name)
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-C", module, "-ldflags=-s -w", "-o", program, "./cmd/"+name)
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, output)
	}
	return program, nil
}

// Environ returns the environment without what would set up a client or a server, or
// reach into the make that the caller was started by.
func Environ() []string {
	return slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return strings.HasPrefix(name, "TIDINGS_") ||
			slices.Contains([]string{"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES", "ARGS", "LANGUAGE"}, name)
	})
}

// A Process is a program that runs, or ran, with all that it started: where the
// system has process groups, it is one. A terminal's Ctrl-C doesn't reach it.
type Process struct {
	cmd    *exec.Cmd
	output tail
	asked  atomic.Bool   // To end.
	ended  chan struct{} // Closed when the process is gone, and err set.
	err    error
}

// Start starts a command of exec.CommandContext. Where it has no environment, it
// gets Environ. What it prints is kept for Output, and goes where the command says
// too; what goes to a file goes there alone. The end of the command's context asks
// the process to end, and kills it after cmd.WaitDelay, by default StopWithin. What
// the process started ends with it.
func Start(cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd, ended: make(chan struct{})}
	if cmd.Env == nil {
		cmd.Env = Environ()
	}
	if cmd.Stderr == cmd.Stdout {
		cmd.Stdout = p.keep(cmd.Stdout)
		cmd.Stderr = cmd.Stdout // One goroutine writes to both.
	} else {
		cmd.Stdout, cmd.Stderr = p.keep(cmd.Stdout), p.keep(cmd.Stderr)
	}
	if cmd.WaitDelay == 0 {
		cmd.WaitDelay = StopWithin
	}
	cmd.Cancel = func() error { return p.ask(syscall.SIGTERM) }
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = cmd.Wait()
		_ = signalGroup(cmd.Process, os.Kill) // What it left behind.
		close(p.ended)
	}()
	return p, nil
}

// keep returns where the output that is meant for w goes.
func (p *Process) keep(w io.Writer) io.Writer {
	if w == nil {
		return &p.output
	}
	if file, ok := w.(*os.File); ok {
		return file
	}
	return io.MultiWriter(&p.output, w)
}

// Await waits until ready reports that the process does what it was started for, or
// fails. A process that ended, or that isn't ready in time, is an error; it runs on.
func (p *Process) Await(ctx context.Context, within time.Duration, ready func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("it isn't ready within %v", within))
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := ready(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-p.ended:
			return p.endedAs(ErrEnded)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Pid returns the id of the process.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Output returns the last that the process has printed: all of it, if that is less
// than eight mebibytes.
func (p *Process) Output() string { return p.output.String() }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.ended }

// Wait waits until the process has ended, and returns what exec.Cmd's Wait does.
func (p *Process) Wait() error {
	<-p.ended
	return p.err
}

// Ended returns how the process ended, and nil while it runs.
func (p *Process) Ended() error {
	select {
	case <-p.ended:
	default:
		return nil
	}
	return p.endedAs(errors.New("it ended"))
}

// endedAs adds to an error how the process ended.
func (p *Process) endedAs(err error) error {
	if p.err == nil {
		return fmt.Errorf("%w with status 0", err)
	}
	return fmt.Errorf("%w: %w", err, p.err)
}

// Stop stops the process as Ctrl-C does: StopBy with an interrupt and StopWithin.
func (p *Process) Stop() error { return p.StopBy(os.Interrupt, StopWithin) }

// StopBy sends a signal, and waits until the process has ended. One that had ended
// already is fine, and so is one that was asked to by the end of its context: it gets
// no second signal, unless that is to kill it. The error of one that failed is an
// *exec.ExitError with the end of its output; that of one that had to be killed is
// ErrNotStopped.
func (p *Process) StopBy(signal os.Signal, within time.Duration) error {
	if err := p.ask(signal); err != nil {
		return err
	}
	select {
	case <-p.ended:
	case <-time.After(within):
		return errors.Join(fmt.Errorf("%w, within %v%s", ErrNotStopped, within, p.lastLines()), p.Kill())
	}
	if p.err == nil || errors.Is(p.err, context.Canceled) {
		return nil
	}
	return fmt.Errorf("it ended badly: %w%s", p.err, p.lastLines())
}

// ask asks the process to end, once: most programs, and the server, leave what they had
// to finish when they are asked again.
func (p *Process) ask(signal os.Signal) error {
	if p.asked.Swap(true) && signal != os.Kill {
		return nil
	}
	return p.Signal(signal)
}

// Kill ends the process without a chance to do anything about it.
func (p *Process) Kill() error {
	err := p.Signal(os.Kill)
	<-p.ended
	return err
}

// Signal sends a signal to the process and to what it started. It may have ended.
func (p *Process) Signal(signal os.Signal) error {
	select {
	case <-p.ended:
		return nil
	default:
	}
	// It may have ended just now.
	if err := signalGroup(p.cmd.Process, signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// lastLines returns the end of the output on lines of its own, or nothing.
func (p *Process) lastLines() string {
	text := strings.TrimSpace(p.Output())
	if text == "" {
		return ""
	}
	lines := strings.Split(text, "\n")
	const most = 20
	return "\n" + strings.Join(lines[max(0, len(lines)-most):], "\n")
}

// A tail keeps the end of what is written to it.
type tail struct {
	mu       sync.Mutex
	contents []byte
}

// tailSize is how much a tail keeps, in bytes.
const tailSize = 8 << 20

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.contents = append(t.contents, p...)
	if len(t.contents) > 2*tailSize {
		t.contents = append(t.contents[:0], t.contents[len(t.contents)-tailSize:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.contents[max(0, len(t.contents)-tailSize):])
}
