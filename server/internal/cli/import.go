package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sort"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

const importBatch = 500

func (a *app) importCommand() *cobra.Command {
	i := new(importing)
	cmd := &cobra.Command{
		Use:   "import FILE|-",
		Short: "Store a long file of events, with one summary at the end",
		Long: `Store the events of a file, or of standard input, in one topic. The lines are
those of tidings publish, as tidings read --events-only prints them too.

At the first refused event the import stops, unless --skip-invalid is set: then
import the corrected lines in a file of their own. What was stored before stays
stored. To go on after that or after an interruption,
import the same file with the same --batch again within the topic's dedupe
window; in a topic with --dedupe event, cut in whatever way.`,
		Args: arguments("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error { return i.run(cmd, a, args[0]) },
	}
	i.in.addFlags(cmd, importBatch)
	cmd.Flags().BoolVar(&i.skipInvalid, "skip-invalid", false, "store the valid events and count the others, rather than stopping")
	addProgressFlag(cmd)
	return cmd
}

// importing is one run of `tidings import`.
type importing struct {
	skipInvalid bool

	in          eventInput
	console     *console
	lines       lineIndex
	sent        int64 // Events.
	refusedHere int64 // Lines that were refused before they were sent.
	stopped     error // Why it stopped at one of them.
}

func (i *importing) run(cmd *cobra.Command, a *app, name string) error {
	if err := i.in.check(); err != nil {
		return err
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	if err := i.in.open(cmd, c, name); err != nil {
		return err
	}
	defer i.in.lines.close()
	i.console = newConsole(cmd, i.in.lines.size)
	defer i.console.close()
	i.in.read, i.in.refused = i.console.read, i.refuseLine

	sendErr, response, callErr := i.call(cmd.Context(), c)
	i.console.close()
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
func (i *importing) call(ctx context.Context, c *client) (sendErr error, response *tidingsv1.ImportResponse, callErr error) {
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
			if stream, err = c.publisher.Import(callCtx); err != nil {
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
		i.console.acknowledged(int64(len(b.events)))
	}
	if stream == nil {
		return sendErr, nil, nil
	}
	response, callErr = stream.CloseAndReceive()
	return sendErr, response, callErr
}

// print shows the summary.
func (i *importing) print(cmd *cobra.Command, response *tidingsv1.ImportResponse) {
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "%s: %s\n", response.GetTopic(), summary(response.GetStoredCount(), response.GetDuplicateCount(), response.GetFirstSequence(), response.GetLastSequence()))
	for _, refused := range response.GetRefusedEvents() {
		i.console.printf("line %d: %s", i.lines.line(refused.GetIndex()), newRefusal(refused.GetError()).ofOneEvent())
	}
	if more := response.GetRefusedCount() - int64(len(response.GetRefusedEvents())); more > 0 {
		i.console.printf("and %s more refused", count(more, "event"))
	}
	if refused := response.GetRefusedCount() + i.refusedHere; refused > 0 {
		fmt.Fprintf(out, "%s refused\n", count(refused, "event"))
	}
}

// printNothing shows the summary where there was nothing to send.
func (i *importing) printNothing(cmd *cobra.Command) {
	fmt.Fprintln(cmd.OutOrStdout(), "nothing to import")
	if i.refusedHere > 0 {
		fmt.Fprintf(cmd.OutOrStdout(), "%s refused\n", count(i.refusedHere, "event"))
	}
}

// refuseLine notes that a line was refused before it was sent.
func (i *importing) refuseLine(number int64, refusal *tidingsv1.ErrorDetail) error {
	i.refusedHere++
	f := newRefusal(refusal)
	if i.skipInvalid {
		i.console.printf("line %d: %s", number, f)
		return nil
	}
	i.stopped = i.in.stoppedAt(number, f)
	return errStopped
}

// outcome returns the error with which the command ends.
func (i *importing) outcome(ctx context.Context, response *tidingsv1.ImportResponse, sendErr, callErr error) error {
	var fromServer *connect.Error
	switch {
	case ctx.Err() != nil && response != nil:
		return statusError{StatusInterrupted, errors.New("interrupted: the summary is of everything that was sent")}
	case ctx.Err() != nil && callErr != nil:
		return statusError{StatusInterrupted, fmt.Errorf("interrupted: %s sent, and the server has not said what it stored", count(i.sent, "event"))}
	case ctx.Err() != nil:
		return errInterrupted
	case errors.As(callErr, &fromServer):
		f := newFailure(fromServer)
		return statusError{f.status(), errors.New(f.atLines(i.lines.line).String())}
	case callErr != nil:
		return callErr
	case errors.Is(sendErr, errStopped):
		return i.stopped
	case sendErr != nil:
		return sendErr
	}
	if refused := response.GetRefusedCount() + i.refusedHere; refused > 0 {
		return statusError{StatusRefused, fmt.Errorf("%s refused", count(refused, "event"))}
	}
	return nil
}

// lineIndex maps the events of a stream to their lines. It holds an entry only
// where lines without an event lie between two events.
type lineIndex struct {
	events int64
	runs   []lineRun
}

// lineRun is events on successive lines.
type lineRun struct{ event, line int64 }

// add appends the events of a batch.
func (x *lineIndex) add(lines []int64) {
	for _, line := range lines {
		if n := len(x.runs); n == 0 || line-x.runs[n-1].line != x.events-x.runs[n-1].event {
			x.runs = append(x.runs, lineRun{x.events, line})
		}
		x.events++
	}
}

// line returns the line of an event, or 0 if there is no such event.
func (x *lineIndex) line(event int64) int64 {
	if event < 0 || event >= x.events {
		return 0
	}
	run := x.runs[sort.Search(len(x.runs), func(n int) bool { return x.runs[n].event > event })-1]
	return run.line + event - run.event
}
