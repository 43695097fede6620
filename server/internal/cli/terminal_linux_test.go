package cli

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/clitest"
	"example.com/tidings/server/internal/cli/command"
)

// terminal returns both ends of a terminal: what is typed, and what a program reads.
func terminal(t *testing.T) (typed, read *os.File) {
	t.Helper()
	typed, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = typed.Close() })
	if err := unix.IoctlSetPointerInt(int(typed.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(typed.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	read, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = read.Close() })
	return typed, read
}

// Whoever gives no input is told that the command waits for it.
func TestReadingFromATerminal(t *testing.T) {
	const waits = "Ctrl-D ends them"
	typed, read := terminal(t)
	if _, err := typed.WriteString("{}\n\x04"); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	new(clitest.Server).RunWith(t.Context(), commands, command.Program{Stdin: read, Stdout: new(bytes.Buffer), Stderr: &stderr}, "validate", "-")
	if strings.Count(stderr.String(), waits) != 1 {
		t.Errorf("it says %s", &stderr)
	}
	if _, _, stderr := new(clitest.Server).Run(t, commands, "", "validate", "-"); strings.Contains(stderr, waits) {
		t.Errorf("without a terminal it says %s", stderr)
	}
}

// What can't be written is said once, and no command ends well without its output.
func TestFullOutput(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close() //nolint:errcheck // Nothing is written to it.
	server := &clitest.Server{OnRead: func(_ *tidingsv1.ReadRequest, stream *connect.ServerStream[tidingsv1.ReadResponse]) error {
		events := make([]*tidingsv1.RecordedEvent, 1000) // More than is written at once.
		for i := range events {
			events[i] = &tidingsv1.RecordedEvent{Event: &tidingsv1.Event{Id: strings.Repeat("x", 100)}, Sequence: int64(i + 1)}
		}
		return stream.Send(&tidingsv1.ReadResponse{Frame: &tidingsv1.ReadResponse_Events{Events: &tidingsv1.EventBatch{Events: events}}})
	}}
	for _, args := range [][]string{{"validate", "-"}, {"--help"}, {"info"}, {"--version"}, {"read", "orders"}} {
		var stderr bytes.Buffer
		status := server.RunWith(t.Context(), commands, command.Program{Version: "0", Stdin: strings.NewReader(""), Stdout: full, Stderr: &stderr}, args...)
		if status != command.StatusFailed || strings.Count(stderr.String(), "no space left") != 1 {
			t.Errorf("%q: %d, %s", args, status, &stderr)
		}
	}
}
