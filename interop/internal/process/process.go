// Package process runs other programs so that nothing of them is left: each gets a
// process group of its own, which is ended as a whole.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// grace is how long a program has to end by itself after it was asked to.
const grace = 5 * time.Second

// Environ is the environment without what would set up a client or a server, or
// reach into the make that the runner is run by.
func Environ() []string {
	return slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return strings.HasPrefix(name, "TIDINGS_") ||
			slices.Contains([]string{"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES", "ARGS", "LANGUAGE"}, name)
	})
}

// A Command is a line of shell.
type Command struct {
	Line   string
	Args   []string // $1, $2 and so on in the line.
	Dir    string
	Env    []string // Besides Environ.
	Limit  time.Duration
	Stdout io.Writer
	Stderr io.Writer
}

// Run runs the command. It returns an *exec.ExitError where the command ended with
// another status than 0 by itself, and another error where it didn't end within
// the limit or ctx ended.
func (c Command) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.Limit, fmt.Errorf("not done within %v", c.Limit))
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", c.Line, "sh"}, c.Args...)...)
	cmd.Dir, cmd.Env = c.Dir, append(Environ(), c.Env...)
	cmd.Stdout, cmd.Stderr = c.Stdout, c.Stderr
	inGroup(cmd)
	if err := cmd.Start(); err != nil {
		return err
	}
	err := cmd.Wait()
	// What it started and didn't wait for.
	_ = signalGroup(cmd, syscall.SIGKILL)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, exec.ErrWaitDelay) {
		return errors.New("it left a process that holds its output")
	}
	return err
}

// inGroup gives a command a process group of its own, which the end of its context
// ends.
func inGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return signalGroup(cmd, syscall.SIGTERM) }
	cmd.WaitDelay = grace
}

// signalGroup signals all processes of the command's group.
func signalGroup(cmd *exec.Cmd, signal syscall.Signal) error {
	return syscall.Kill(-cmd.Process.Pid, signal)
}
