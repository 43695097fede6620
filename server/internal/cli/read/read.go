// Package read is `tidings read` and `get`.
package read

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"example.com/tidings/client"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/command"
)

// Command returns `tidings read`.
func Command(a *command.App) *cobra.Command {
	r := new(readCall)
	cmd := &cobra.Command{
		Use:   "read TOPIC",
		Short: "Print the events of a topic as lines of JSON",
		Long: `Print the events of a topic, each a line of JSON: a tidings.v1.RecordedEvent
with the event, its sequence and the cursor to continue after. The command ends
after the last event that the topic held when it started, unless --follow is
set.`,
		Example: `  tidings read orders
  tidings read orders --follow --from new --type shop.orders.v1.OrderPlaced
  tidings read orders --from 2026-11-22 --until 2026-11-23 --events-only`,
		Args: command.Arguments("TOPIC"),
		RunE: func(cmd *cobra.Command, args []string) error { return r.run(cmd, a, args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&r.from, "from", "earliest", command.StartHelp)
	flags.StringVar(&r.after, "after", "", "start after this `CURSOR`, instead of --from")
	flags.StringVar(&r.until, "until", "", command.StopHelp)
	flags.BoolVarP(&r.follow, "follow", "f", false, "wait for new events, and reconnect after the last event if the connection is lost")
	flags.Int64VarP(&r.limit, "limit", "n", 0, "print at most this `NUMBER` of events; 0: all")
	r.filter.Add(cmd)
	flags.BoolVar(&r.eventsOnly, "events-only", false, "print only the events, as tidings publish and import accept them")
	return cmd
}

// readCall is one run of `tidings read`.
type readCall struct {
	from, after, until string
	follow             bool
	limit              int64
	filter             command.FilterFlags
	eventsOnly         bool

	types   *command.PayloadTypes
	console *command.Console
	out     *bufio.Writer
	cursor  string // After what has been printed. Empty: none known.
}

func (r *readCall) run(cmd *cobra.Command, a *command.App, topic string) error {
	options, err := r.options(cmd)
	if err != nil {
		return err
	}
	c, err := a.Client()
	if err != nil {
		return err
	}
	r.types = command.NewPayloadTypes(c)
	r.console = command.NewConsole(cmd)
	r.out = bufio.NewWriter(cmd.OutOrStdout())
	ctx, stop := context.WithCancelCause(cmd.Context())
	defer stop(nil)
	options.Trace.Reconnecting = func(err error, delay time.Duration) {
		if errors.Is(err, io.EOF) {
			err = errEnded
		}
		if !r.follow || r.cursor == "" {
			stop(err)
			return
		}
		r.console.Printf("%s\nreconnecting within %s", command.Describe(err), delay)
	}
	err = r.print(ctx, c.Events.Reader(topic, options))
	if cmd.Context().Err() != nil && command.IsCancellation(err) {
		err = command.ErrInterrupted
	}
	if err != nil && r.cursor != "" {
		r.console.Printf("to continue: --after %s", r.cursor)
	}
	return err
}

// errEnded stands for the end of a call that the server ended without an error.
var errEnded = errors.New("the server has ended the call")

// options returns what the flags describe.
func (r *readCall) options(cmd *cobra.Command) (options client.ReaderOptions, err error) {
	now := time.Now()
	options = client.ReaderOptions{MaxEvents: r.limit, Logger: slog.New(slog.DiscardHandler)}
	if r.limit < 0 {
		return options, command.Usagef("--limit: %d is negative", r.limit)
	}
	if options.Start, err = command.PositionFlags(cmd, "from", r.from, r.after, now); err != nil {
		return options, err
	}
	switch {
	case r.until != "":
		if options.Stop, err = command.ParseStop(r.until, now); err != nil {
			return options, err
		}
	case r.from == "new" && !r.follow:
		return options, command.Usagef("--from new prints nothing without --follow or --until")
	case !r.follow:
		options.Stop = &tidingsv1.StopPosition{Position: &tidingsv1.StopPosition_CaughtUp{CaughtUp: true}}
	}
	options.Filter, err = r.filter.Filter(cmd.InOrStdin())
	return options, err
}

// print prints what a reader reads, to its end.
func (r *readCall) print(ctx context.Context, reader *client.Reader) error {
	for frame, err := range reader.Frames(ctx) {
		if err != nil {
			return err
		}
		if err := r.printEvents(ctx, frame.GetEvents().GetEvents()); err != nil {
			return err
		}
		if gap := frame.GetGap(); gap != nil {
			r.console.Printf("gap: the events from sequence %d to before %d are gone: retention has removed them", gap.GetFirstSequence(), gap.GetNextSequence())
		}
		r.cursor = reader.Cursor()
	}
	return nil
}

// printEvents writes events and flushes, so that a reader of the output has each when
// it comes.
func (r *readCall) printEvents(ctx context.Context, events []*tidingsv1.RecordedEvent) (err error) {
	defer func() {
		// Once it can't write it says the same again.
		if flushErr := r.out.Flush(); err == nil {
			err = flushErr
		}
	}()
	for _, event := range events {
		var message proto.Message = event
		if r.eventsOnly {
			message = event.GetEvent()
		}
		text, err := command.ToJSON(ctx, r.types, message)
		if err != nil {
			return fmt.Errorf("the event with sequence %d: %w", event.GetSequence(), err)
		}
		if _, err := r.out.Write(append(text, '\n')); err != nil {
			return err
		}
		r.cursor = cmp.Or(event.GetCursor(), r.cursor)
	}
	return nil
}
