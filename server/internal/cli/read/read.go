// Package read is `tidings read` and `get`.
package read

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/command"
)

// Command returns `tidings read`.
func Command(a *command.App) *cobra.Command {
	r := new(reading)
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

// reading is one run of `tidings read`.
type reading struct {
	from, after, until string
	follow             bool
	limit              int64
	filter             command.FilterFlags
	eventsOnly         bool

	client  *command.Client
	payload *command.PayloadTypes
	console *command.Console
	out     *bufio.Writer
	request *tidingsv1.ReadRequest
	cursor  string // The position reached. Empty: none known.
	printed int64
}

func (r *reading) run(cmd *cobra.Command, a *command.App, topic string) (err error) {
	if r.request, err = r.newRequest(cmd.InOrStdin(), topic, time.Now()); err != nil {
		return err
	}
	if r.client, err = a.Client(); err != nil {
		return err
	}
	r.payload = command.NewPayloadTypes(r.client)
	r.console = command.NewConsole(cmd)
	r.out = bufio.NewWriter(cmd.OutOrStdout())
	err = r.untilDone(cmd.Context())
	if cmd.Context().Err() != nil && command.IsCancellation(err) {
		err = command.ErrInterrupted
	}
	if err != nil && r.cursor != "" {
		r.console.Printf("to continue: --after %s", r.cursor)
	}
	return err
}

// newRequest returns the request that the flags describe.
func (r *reading) newRequest(stdin io.Reader, topic string, now time.Time) (*tidingsv1.ReadRequest, error) {
	request := &tidingsv1.ReadRequest{Topic: topic, MaxEvents: r.limit}
	var err error
	switch {
	case r.limit < 0:
		return nil, command.Usagef("--limit: %d is negative", r.limit)
	case r.after != "" && r.from != "earliest":
		return nil, command.Usagef("--from and --after exclude each other")
	case r.after != "":
		request.Start = command.StartAfter(r.after)
	default:
		if request.Start, err = command.ParseStart("from", r.from, now); err != nil {
			return nil, err
		}
	}
	switch {
	case r.until != "":
		if request.Stop, err = command.ParseStop(r.until, now); err != nil {
			return nil, err
		}
	case r.from == "new" && !r.follow:
		return nil, command.Usagef("--from new prints nothing without --follow or --until")
	case !r.follow:
		request.Stop = &tidingsv1.StopPosition{Position: &tidingsv1.StopPosition_CaughtUp{CaughtUp: true}}
	}
	request.Filter, err = r.filter.Filter(stdin)
	return request, err
}

// untilDone reads until the stop position. Following, it calls again after the
// last cursor when a call ends with what may pass.
func (r *reading) untilDone(ctx context.Context) error {
	wait := command.FirstReconnect
	for {
		before := r.cursor
		err := r.once(ctx)
		if err == nil || !r.follow || r.cursor == "" || ctx.Err() != nil || !command.MayPass(err) {
			return err
		}
		if r.cursor != before {
			wait = command.FirstReconnect
		}
		r.console.Printf("%s\nreconnecting in %s", command.Describe(err), wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
		wait = min(2*wait, command.LastReconnect)
		r.request = proto.CloneOf(r.request)
		r.request.Start = command.StartAfter(r.cursor)
		if r.limit > 0 {
			r.request.MaxEvents = r.limit - r.printed
		}
	}
}

// once makes one call and prints what it brings.
func (r *reading) once(ctx context.Context) error {
	stream, err := r.client.Reader.Read(ctx, r.request)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	for stream.Receive() {
		if err := r.frame(ctx, stream.Msg()); err != nil {
			return err
		}
		if r.limit > 0 && r.printed >= r.limit {
			return nil
		}
	}
	return stream.Err()
}

func (r *reading) frame(ctx context.Context, response *tidingsv1.ReadResponse) error {
	switch frame := response.GetFrame().(type) {
	case *tidingsv1.ReadResponse_Events:
		return r.print(ctx, frame.Events.GetEvents())
	case *tidingsv1.ReadResponse_CaughtUp:
		r.reached(frame.CaughtUp.GetCursor())
	case *tidingsv1.ReadResponse_Checkpoint:
		r.reached(frame.Checkpoint.GetCursor())
	case *tidingsv1.ReadResponse_Heartbeat:
		r.reached(frame.Heartbeat.GetCursor())
	case *tidingsv1.ReadResponse_Draining:
		r.reached(frame.Draining.GetCursor())
	case *tidingsv1.ReadResponse_Gap:
		r.console.Printf("gap: the events from sequence %d to before %d are gone: retention has removed them", frame.Gap.GetFirstSequence(), frame.Gap.GetNextSequence())
	}
	return nil
}

// reached notes a position, where the frame has one.
func (r *reading) reached(cursor string) {
	if cursor != "" {
		r.cursor = cursor
	}
}

// print writes events and flushes, so that a reader of the output has each when
// it comes.
func (r *reading) print(ctx context.Context, events []*tidingsv1.RecordedEvent) (err error) {
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
		text, err := command.ToJSON(ctx, r.payload, message)
		if err != nil {
			return fmt.Errorf("the event with sequence %d: %w", event.GetSequence(), err)
		}
		if _, err := r.out.Write(append(text, '\n')); err != nil {
			return err
		}
		r.reached(event.GetCursor())
		r.printed++
	}
	return nil
}
