package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

func (a *app) readCommand() *cobra.Command {
	r := new(reading)
	cmd := &cobra.Command{
		Use:   "read TOPIC",
		Short: "Print the events of a topic as lines of JSON",
		Long: `Print the events of a topic, each a line of JSON: a tidings.v1.RecordedEvent with
the event, its sequence and the cursor from which to read on. The command ends
after the last event that the topic held when it began, unless --follow is set.`,
		Args: arguments("TOPIC"),
		RunE: func(cmd *cobra.Command, args []string) error { return r.run(cmd, a, args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&r.from, "from", "earliest", "`position` to begin at: earliest, latest, new, "+positionHelp)
	flags.StringVar(&r.after, "after", "", "`cursor` to begin after, instead of --from")
	flags.StringVar(&r.until, "until", "", "`position` to stop after: "+positionHelp)
	flags.BoolVarP(&r.follow, "follow", "f", false, "go on with what is published from now on, and reconnect after the last event where the connection is lost")
	flags.Int64VarP(&r.limit, "limit", "n", 0, "print at most this many events; 0: all")
	r.filter.add(cmd)
	flags.BoolVar(&r.eventsOnly, "events-only", false, "print the events alone, as tidings publish and tidings import take them")
	return cmd
}

// reading is one run of `tidings read`.
type reading struct {
	from, after, until string
	follow             bool
	limit              int64
	filter             filterFlags
	eventsOnly         bool

	client  *client
	payload *payloadTypes
	console *console
	out     *bufio.Writer
	request *tidingsv1.ReadRequest
	cursor  string // The position reached. Empty: none known.
	printed int64
}

func (r *reading) run(cmd *cobra.Command, a *app, topic string) (err error) {
	if r.request, err = r.newRequest(cmd.InOrStdin(), topic, time.Now()); err != nil {
		return err
	}
	if r.client, err = a.client(); err != nil {
		return err
	}
	r.payload = newPayloadTypes(r.client)
	r.console = &console{w: cmd.ErrOrStderr()}
	r.out = bufio.NewWriter(cmd.OutOrStdout())
	err = r.untilDone(cmd.Context())
	if cmd.Context().Err() != nil && isCancellation(err) {
		err = errInterrupted
	}
	if err != nil && r.cursor != "" {
		r.console.printf("to read on: --after %s", r.cursor)
	}
	return err
}

// newRequest returns the request that the flags describe.
func (r *reading) newRequest(stdin io.Reader, topic string, now time.Time) (*tidingsv1.ReadRequest, error) {
	request := &tidingsv1.ReadRequest{Topic: topic, MaxEvents: r.limit}
	var err error
	switch {
	case r.limit < 0:
		return nil, usagef("--limit: %d is negative", r.limit)
	case r.after != "" && r.from != "earliest":
		return nil, usagef("--from and --after exclude each other")
	case r.after != "":
		request.Start = startAfter(r.after)
	default:
		if request.Start, err = parseStart("from", r.from, now); err != nil {
			return nil, err
		}
	}
	switch {
	case r.until != "":
		if request.Stop, err = parseStop(r.until, now); err != nil {
			return nil, err
		}
	case r.from == "new" && !r.follow:
		return nil, usagef("--from new prints nothing without --follow or --until")
	case !r.follow:
		request.Stop = &tidingsv1.StopPosition{Position: &tidingsv1.StopPosition_CaughtUp{CaughtUp: true}}
	}
	request.Filter, err = r.filter.filter(stdin)
	return request, err
}

// The waits before reconnecting: each twice the one before, up to the last.
const (
	firstReconnect = 250 * time.Millisecond
	lastReconnect  = 10 * time.Second
)

// untilDone reads until the stop position. Following, it calls again after the
// last cursor when a call ends with what may pass.
func (r *reading) untilDone(ctx context.Context) error {
	wait := firstReconnect
	for {
		before := r.cursor
		err := r.once(ctx)
		if err == nil || !r.follow || r.cursor == "" || ctx.Err() != nil || !mayPass(err) {
			return err
		}
		if r.cursor != before {
			wait = firstReconnect
		}
		r.console.printf("%s\nreconnecting in %s", describe(err), wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
		wait = min(2*wait, lastReconnect)
		r.request = proto.CloneOf(r.request)
		r.request.Start = startAfter(r.cursor)
		if r.limit > 0 {
			r.request.MaxEvents = r.limit - r.printed
		}
	}
}

// mayPass reports whether a call that ended with err may succeed later.
func mayPass(err error) bool {
	fromServer, ok := errors.AsType[*connect.Error](err)
	if !ok {
		return false
	}
	f := newFailure(fromServer)
	return f.local || f.retry() == tidingsv1.Retry_RETRY_BACKOFF || f.code == tidingsv1.StatusCode_STATUS_CODE_UNAVAILABLE
}

// once makes one call and prints what it brings.
func (r *reading) once(ctx context.Context) error {
	stream, err := r.client.reader.Read(ctx, r.request)
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
		r.console.printf("gap: the events from sequence %d to before %d are gone: retention has removed them", frame.Gap.GetFirstSequence(), frame.Gap.GetNextSequence())
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
		text, err := toJSON(ctx, r.payload, message)
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

func (a *app) getCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "get TOPIC SEQUENCE",
		Short: "Print one event as a line of JSON",
		Args:  arguments("TOPIC", "SEQUENCE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			sequence, err := strconv.ParseInt(args[1], 10, 64)
			if err != nil {
				return usagef("%q is not a sequence", args[1])
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			response, err := c.reader.GetEvent(cmd.Context(), &tidingsv1.GetEventRequest{Topic: args[0], Sequence: sequence})
			if err != nil {
				return err
			}
			return printWithPayload(cmd, newPayloadTypes(c), response.GetRecorded())
		},
	}
}
