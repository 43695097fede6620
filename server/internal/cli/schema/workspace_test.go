package schema

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/tidings/server/internal/cli/clitest"
	"example.com/tidings/server/internal/cli/command"
)

// newWorkspace returns a directory with a buf.yaml, and a Buf that is a script.
func newWorkspace(t *testing.T, script string) (dir, buf string) {
	t.Helper()
	dir = t.TempDir()
	buf = filepath.Join(dir, "buf")
	for path, contents := range map[string]string{
		filepath.Join(dir, "buf.yaml"): "version: v2\n",
		buf:                            "#!/bin/sh\n" + script,
	} {
		if err := os.WriteFile(path, []byte(contents), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir, buf
}

// TestBufFails: what Buf says is shown, wherever it says it.
func TestBufFails(t *testing.T) {
	for name, test := range map[string]struct {
		script string
		status int
		want   string
	}{
		"findings":           {"echo 'a.proto:3:1: no' >&2; exit 100", command.StatusRefused, "a.proto:3:1: no\ntidings: "},
		"other failure":      {"echo one; echo two >&2; exit 1", command.StatusFailed, "two\none\ntidings: "},
		"no image after all": {"echo building >&2; echo text", command.StatusRefused, "building\ntidings: "},
		"killed":             {"kill -9 $$", command.StatusFailed, "signal: killed"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, buf := newWorkspace(t, test.script)
			status, stdout, stderr := (&clitest.Server{}).Run(t, commands, "", "schema", "push", dir, "--buf", buf)
			if status != test.status || stdout != "" || !strings.Contains(stderr, test.want) {
				t.Errorf("status %d, %q, %q; want %d and %q", status, stdout, stderr, test.status, test.want)
			}
		})
	}
}

// TestBufIsInterrupted: Ctrl-C ends Buf and what it started.
func TestBufIsInterrupted(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	// It ends when nobody has it open for writing any more.
	alive, err := os.OpenFile(fifo, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer alive.Close() //nolint:errcheck // It is only read.
	dir, buf := newWorkspace(t, "exec 3>'"+fifo+"'\ntail -f /dev/null >/dev/null 2>&1 &\necho building >&2\nwait\n")
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var stdout bytes.Buffer
	stderr := &firstWrite{then: interrupt}
	status := (&clitest.Server{}).RunWith(ctx, commands, command.Program{Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: stderr}, "schema", "check", dir, "--buf", buf)
	if status != command.StatusInterrupted || stdout.Len() > 0 || stderr.text.String() != "building\ntidings: interrupted\n" {
		t.Errorf("status %d, %q, %q", status, &stdout, &stderr.text)
	}
	if err := alive.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(alive); err != nil {
		t.Errorf("what Buf started is still there: %v", err)
	}
}

// firstWrite calls a function after the first text.
type firstWrite struct {
	text bytes.Buffer
	then func()
}

func (f *firstWrite) Write(text []byte) (int, error) {
	n, err := f.text.Write(text)
	f.then()
	return n, err
}

// TestStandardInputIsInterrupted: nobody waits for an image that doesn't come.
func TestStandardInputIsInterrupted(t *testing.T) {
	silent, feed := io.Pipe()
	defer feed.Close() //nolint:errcheck // It only ends the reading.
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	var stderr bytes.Buffer
	status := (&clitest.Server{}).RunWith(ctx, commands, command.Program{Stdin: silent, Stdout: io.Discard, Stderr: &stderr}, "schema", "push", "-")
	if status != command.StatusInterrupted || stderr.String() != "tidings: interrupted\n" {
		t.Errorf("status %d, %q", status, &stderr)
	}
}
