package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/command"
)

const importBatch = 500

// ImportCommand returns `tidings import`.
func ImportCommand(a *command.App) *cobra.Command {
	i := new(importCall)
	cmd := &cobra.Command{
		Use:   "import FILE|-",
		Short: "Import a long file of events, with one summary at the end",
		Long: `Import the events of a file, or of standard input, into one topic. The lines are
those of 'tidings publish', as 'tidings read --events-only' prints them too.

The import stops at the first refused event, unless --skip-invalid is set: then
import the corrected lines in a file of their own. What was stored before stays
stored. To continue after that or after an interruption, import the same file
with the same --batch again within the topic's dedupe window; in a topic with
--dedupe event, with any --batch.`,
		Example: `  tidings import orders.jsonl --topic orders
  tidings read orders --events-only |
    tidings import - --topic orders-copy --server http://127.0.0.1:7170`,
		Args: command.Arguments("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error { return i.run(cmd, a, args[0]) },
	}
	i.in.addFlags(cmd, importBatch)
	cmd.Flags().BoolVar(&i.skipInvalid, "skip-invalid", false, "store the valid events and count the others, rather than stop")
	command.AddProgressFlag(cmd)
	return cmd
}

// importCall is one run of `tidings import`.
type importCall struct {
	skipInvalid bool

	in          eventInput
	console     *command.Console
	lines       lineIndex
	sent        int64 // Events.
	refusedHere int64 // Lines that were refused before they were sent.
	stopped     error // Why it stopped at one of them.
}

func (i *importCall) run(cmd *cobra.Command, a *command.App, name string) error {
	if err := i.in.check(); err != nil {
		return err
	}
	c, err := a.Client()
	if err != nil {
		return err
	}
	if err := i.in.open(cmd, c, name); err != nil {
		return err
	}
	defer i.in.lines.close()
	i.console = command.NewProgress(cmd, i.in.lines.size)
	defer i.console.Close()
	i.in.read, i.in.refused = i.console.Read, i.refuseLine

	sendErr, response, callErr := i.call(cmd.Context(), c)
	i.console.Close()
	switch {
	case response != nil:
		i.print(cmd, response)
	case sendErr == nil && callErr == nil:
		i.printNothing(cmd)
	}
	return i.outcome(cmd.Context(), response, sendErr, callErr)
}

// call sends the events and takes the summary. sendErr is why sending ended
// early; response and callErr are both nil if there was nothing to send.
func (i *importCall) call(ctx context.Context, c *command.Client) (sendErr error, response *tidingsv1.ImportResponse, callErr error) {
	// The call outlives an interruption for as long as it takes to learn what
	// was stored.
	callCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(drainTimeout, cancel) })()

	var stream *connect.ClientStreamForClientSimple[tidingsv1.ImportRequest, tidingsv1.ImportResponse]
	for {
		b, err := i.in.next(ctx)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				sendErr = err
			}
			break
		}
		if stream == nil {
			if stream, err = c.Publisher.Import(callCtx); err != nil {
				return nil, nil, err
			}
		}
		i.lines.add(b.lines)
		err = stream.Send(&tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{
			Topic: i.in.topic, Events: b.events, SkipInvalid: i.skipInvalid,
		}})
		if errors.Is(err, io.EOF) {
			// The call has ended: its answer says why.
			break
		}
		if err != nil {
			return nil, nil, err
		}
		i.sent += int64(len(b.events))
		i.console.Acknowledged(int64(len(b.events)))
	}
	if stream == nil {
		return sendErr, nil, nil
	}
	response, callErr = stream.CloseAndReceive()
	return sendErr, response, callErr
}

// print shows the summary.
func (i *importCall) print(cmd *cobra.Command, response *tidingsv1.ImportResponse) {
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "%s: %s\n", response.GetTopic(), summary(response.GetStoredCount(), response.GetDuplicateCount(), response.GetFirstSequence(), response.GetLastSequence()))
	for _, refused := range response.GetRefusedEvents() {
		i.console.Printf("line %d: %s", i.lines.line(refused.GetIndex()), command.NewRefusal(refused.GetError()).OfOneEvent())
	}
	if more := response.GetRefusedCount() - int64(len(response.GetRefusedEvents())); more > 0 {
		i.console.Printf("and %s more refused", command.Count(more, "event"))
	}
	if refused := response.GetRefusedCount() + i.refusedHere; refused > 0 {
		fmt.Fprintf(out, "%s refused\n", command.Count(refused, "event"))
	}
}

// printNothing shows the summary where there was nothing to send.
func (i *importCall) printNothing(cmd *cobra.Command) {
	fmt.Fprintln(cmd.OutOrStdout(), "nothing to import")
	if i.refusedHere > 0 {
		fmt.Fprintf(cmd.OutOrStdout(), "%s refused\n", command.Count(i.refusedHere, "event"))
	}
}

// refuseLine notes that a line was refused before it was sent.
func (i *importCall) refuseLine(number int64, refusal *tidingsv1.ErrorDetail) error {
	i.refusedHere++
	f := command.NewRefusal(refusal)
	if i.skipInvalid {
		i.console.Printf("line %d: %s", number, f)
		return nil
	}
	i.stopped = i.in.stoppedAt(number, f)
	return errStopped
}

// outcome returns the error with which the command ends.
func (i *importCall) outcome(ctx context.Context, response *tidingsv1.ImportResponse, sendErr, callErr error) error {
	var fromServer *connect.Error
	switch {
	case ctx.Err() != nil && response != nil:
		return command.WithStatus(command.StatusInterrupted, errors.New("interrupted: the summary is of everything that was sent"))
	case ctx.Err() != nil && callErr != nil:
		return command.WithStatus(command.StatusInterrupted, fmt.Errorf("interrupted: %s sent, and the server has not said what it stored", command.Count(i.sent, "event")))
	case ctx.Err() != nil:
		return command.ErrInterrupted
	case errors.As(callErr, &fromServer):
		f := command.NewFailure(fromServer)
		return command.WithStatus(f.Status(), errors.New(f.AtLines(i.lines.line).String()))
	case callErr != nil:
		return callErr
	case errors.Is(sendErr, errStopped):
		return i.stopped
	case sendErr != nil:
		return sendErr
	}
	if refused := response.GetRefusedCount() + i.refusedHere; refused > 0 {
		return command.WithStatus(command.StatusRefused, fmt.Errorf("%s refused", command.Count(refused, "event")))
	}
	return nil
}
