package command

import (
	"context"
	"os/exec"
	"syscall"
	"time"
)

// killAfter is how long a program may take to end after it was told to, and to
// close its output after it has ended.
const killAfter = 5 * time.Second

// NewProcess returns a program to run until it ends or ctx does, when it gets a
// SIGTERM. In a process group of its own it doesn't get the terminal's Ctrl-C,
// and what it started ends with it.
func NewProcess(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = killAfter
	return cmd
}
