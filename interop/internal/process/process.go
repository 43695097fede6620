// Package process runs the programs of clients and servers so that nothing of them
// is left.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"

	"example.com/tidings/internal/testserver"
)

// grace is how long a program has to end by itself after it was asked to.
const grace = 5 * time.Second

// A Command is a line of shell.
type Command struct {
	Line   string
	Args   []string // $1, $2 and so on in the line.
	Dir    string
	Env    []string // Besides testserver.Environ.
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
	cmd.Dir, cmd.Env = c.Dir, append(testserver.Environ(), c.Env...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = c.Stdout, c.Stderr, grace
	program, err := testserver.Start(cmd)
	if err != nil {
		return err
	}
	err = program.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, exec.ErrWaitDelay) {
		return errors.New("it left a process that holds its output")
	}
	return err
}
