package doctest

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// step is a command of a document, with what it is said to print.
type step struct {
	command string
	output  string
	shown   bool // The document shows output, if only that there is none.
	line    int
}

// interrupt is what a terminal shows for Ctrl-C. In a block of console it is a
// step that stops the server.
const interrupt = "^C"

// steps takes a block of shell apart. In a block of sh each complete command is
// a step; in a block of console the prompt begins one, and what follows the
// command is its output.
func steps(t *testing.T, language, text string, line int) []step {
	t.Helper()
	var list []step
	var command []string
	for i, shown := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		prompt, isPrompt := strings.CutPrefix(shown, "$ ")
		switch {
		case len(command) > 0:
			command = append(command, shown)
		case language == "console" && shown == interrupt:
			list = append(list, step{command: interrupt, shown: true, line: line + i})
			continue
		case language == "console" && isPrompt:
			command = []string{prompt}
			list = append(list, step{shown: true, line: line + i})
		case language == "console" && len(list) == 0:
			t.Fatalf("line %d: output without a command", line+i)
		case language == "console":
			list[len(list)-1].output += shown + "\n"
			continue
		case strings.TrimSpace(shown) == "":
			continue
		default:
			command = []string{shown}
			list = append(list, step{line: line + i})
		}
		if text := strings.Join(command, "\n"); complete(t, text) {
			list[len(list)-1].command = text
			command = nil
		}
	}
	if len(command) > 0 {
		t.Fatalf("line %d: the command doesn't end: %s", line, strings.Join(command, "\n"))
	}
	return list
}

// complete reports whether a command goes on in the next line.
func complete(t *testing.T, command string) bool {
	t.Helper()
	if strings.HasSuffix(command, `\`) {
		return false
	}
	// Bash reports an open quote as an error and an open here-document as a warning.
	report, err := exec.CommandContext(t.Context(), "bash", "-n", "-c", command).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return len(report) == 0
}

// shell is a terminal: what one command changes is there for the next.
type shell struct {
	cmd    *exec.Cmd
	input  io.WriteCloser
	output *bufio.Reader
	mark   string
}

func newShell(ctx context.Context, dir string, environ []string) (*shell, error) {
	cmd := exec.CommandContext(ctx, "bash", "--noprofile", "--norc")
	cmd.Dir, cmd.Env = dir, environ
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	_, err = io.WriteString(input, "exec 2>&1\n")
	return &shell{cmd: cmd, input: input, output: bufio.NewReader(output), mark: "mark-" + rand.Text()}, err
}

// run runs a command and returns what it printed and its exit status.
func (s *shell) run(command string) (output string, status int, err error) {
	// The status is handed on, for a command that asks for it.
	_, err = fmt.Fprintf(s.input, "{ %s\n} </dev/null\nstatus=$?; printf '%%s %%d\\n' %s $status; (exit $status)\n", command, s.mark)
	if err != nil {
		return "", 0, err
	}
	var all strings.Builder
	for {
		line, err := s.output.ReadString('\n')
		before, after, ended := strings.Cut(line, s.mark+" ")
		if ended {
			all.WriteString(before) // What was printed without an end of line.
			status, err := strconv.Atoi(strings.TrimSpace(after))
			return all.String(), status, err
		}
		all.WriteString(line)
		if err != nil {
			return all.String(), 0, fmt.Errorf("the shell ended: %w", err)
		}
	}
}

func (s *shell) close() error {
	_, err := io.WriteString(s.input, "exit 0\n")
	return errors.Join(err, s.input.Close(), s.cmd.Wait())
}
