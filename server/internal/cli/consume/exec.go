package consume

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"example.com/tidings/client"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/command"
)

const (
	// exitDeadLetter is the exit status with which a command says that an event
	// can't be dealt with: EX_DATAERR of sysexits.h.
	exitDeadLetter = 65
	// maxLinePart is how much of a line is kept until its end comes.
	maxLinePart = 64 << 10
)

// commandRunner is the handler that runs a command for each event.
type commandRunner struct {
	lines        *deliveryLines
	command      []string
	environment  []string
	subscription string
	stdout       io.Writer // Safe for concurrent use, as is stderr.
	stderr       io.Writer

	life context.Context //nolint:containedctx // Of the commands; ended by kill.
	kill context.CancelFunc
}

func (r *commandRunner) abort() { r.kill() }

func (r *commandRunner) handle(ctx context.Context, delivery *tidingsv1.Delivery) (settled, failed error) {
	line, err := r.lines.line(ctx, delivery)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return notBegun(ctx, err)
	}
	stdout, stderr := &lineWriter{to: r.stdout}, &lineWriter{to: r.stderr}
	cmd := command.NewProcess(r.life, r.command[0], r.command[1:]...)
	cmd.Env = slices.Concat(r.environment, r.variables(delivery))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(line), stdout, stderr
	runErr := cmd.Run()
	outputErr := errors.Join(stdout.flush(), stderr.flush())
	if cmd.ProcessState == nil {
		return notBegun(ctx, fmt.Errorf("running %s: %w", r.command[0], runErr))
	}
	if stdout.err != nil {
		// What the command said may be what it was run for.
		return errors.New("its output could not be written"), fmt.Errorf("writing standard output: %w", outputErr)
	}
	return verdict(cmd.ProcessState, stderr.last), nil
}

// verdict returns the error that the end of a command stands for.
func verdict(state *os.ProcessState, lastLine string) error {
	if state.Success() {
		return nil
	}
	reason := errors.New(cmp.Or(lastLine, state.String()))
	if state.ExitCode() == exitDeadLetter {
		return client.DeadLetter(reason)
	}
	return reason
}

// variables tell a command about its event.
func (r *commandRunner) variables(delivery *tidingsv1.Delivery) []string {
	recorded := delivery.GetRecorded()
	event := recorded.GetEvent()
	return []string{
		"TIDINGS_SUBSCRIPTION=" + r.subscription,
		"TIDINGS_TOPIC=" + recorded.GetTopic(),
		"TIDINGS_SEQUENCE=" + strconv.FormatInt(recorded.GetSequence(), 10),
		"TIDINGS_ATTEMPT=" + strconv.Itoa(int(delivery.GetAttempt())),
		"TIDINGS_ID=" + event.GetId(),
		"TIDINGS_SOURCE=" + event.GetSource(),
		"TIDINGS_TYPE=" + command.TypeName(event.GetData().GetTypeUrl()),
		"TIDINGS_SUBJECT=" + event.GetSubject(),
		"TIDINGS_PARTITION_KEY=" + event.GetPartitionKey(),
	}
}

// lineWriter passes text on in whole lines, so that those of commands that run
// at the same time don't mix, and keeps the last one that isn't blank.
type lineWriter struct {
	to   io.Writer
	part []byte // Of a line whose end has not come.
	last string // As the reason of a nack.
	err  error  // Why the text couldn't be passed on. It is given up from then on.
}

func (w *lineWriter) Write(text []byte) (int, error) {
	w.part = append(w.part, text...)
	end := bytes.LastIndexByte(w.part, '\n') + 1
	if end == 0 && len(w.part) >= maxLinePart {
		end = len(w.part)
	}
	return len(text), w.pass(end)
}

// flush passes the rest on, as a line.
func (w *lineWriter) flush() error {
	if len(w.part) > 0 {
		w.part = append(w.part, '\n')
	}
	return w.pass(len(w.part))
}

// pass passes so many bytes of part on.
func (w *lineWriter) pass(end int) error {
	if w.err != nil || end == 0 {
		return w.err
	}
	text := w.part[:end]
	if line := lastLine(text); line != "" {
		w.last = line
	}
	_, w.err = w.to.Write(text)
	w.part = append(w.part[:0], w.part[end:]...)
	return w.err
}

// lastLine returns the last line of a text that isn't blank, in valid UTF-8, which
// withoutControls sees to.
func lastLine(text []byte) string {
	text = bytes.TrimSpace(text)
	if i := bytes.LastIndexByte(text, '\n'); i >= 0 {
		text = text[i+1:]
	}
	return strings.TrimSpace(command.WithoutControls(string(text)))
}

// lockedWriter is a writer for several goroutines.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(text)
}
