package publish

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/command"
)

const (
	// requestOverhead is left of a request's bound for what isn't events.
	requestOverhead = 1 << 10
	// fallbackRequestBytes is assumed of a server that names no bound.
	fallbackRequestBytes = 1 << 20
)

// errStopped ends the reading of events at a refused line.
var errStopped = errors.New("stopped at a refused line")

// eventInput is the flags of the commands that read events from lines, and what
// they do with each line.
type eventInput struct {
	topic     string
	source    string
	assignIDs bool
	batch     int

	lines   *lineSource
	types   *command.PayloadTypes
	byTopic bool // Cut batches by the topics that the types declare.
	cut     cutter
	whole   []*batch
	ended   bool
	hinted  bool // It was said what makes lines of the input.
	// limit is how large an event may be for a request, in bytes.
	limit int64
	// refused is told of each line that is refused before it is sent. It
	// returns errStopped to end the reading.
	refused func(number int64, refusal *tidingsv1.ErrorDetail) error
	// read is told after each line how many bytes of the input have been read.
	read func(bytes int64)
}

const batchHelp = "`LINES` in a request, from 1 to the events that the server accepts in one (see tidings info)"

func (in *eventInput) addFlags(cmd *cobra.Command, batch int) {
	flags := cmd.Flags()
	flags.StringVar(&in.topic, "topic", "", "`TOPIC` to publish to (default: the one that the event type declares)")
	flags.StringVar(&in.source, "source", "", "`SOURCE` of events that have none")
	flags.BoolVar(&in.assignIDs, "assign-ids", false, "give events without an id a random one; a retry stores these again")
	flags.IntVar(&in.batch, "batch", batch, batchHelp)
}

func (in *eventInput) check() error {
	if in.batch < 1 {
		return command.Usagef("--batch: %d is less than 1", in.batch)
	}
	return nil
}

// open opens the input and asks the server how large a request may be.
func (in *eventInput) open(cmd *cobra.Command, c *command.Client, name string) error {
	info, err := c.Info.GetServerInfo(cmd.Context(), &tidingsv1.GetServerInfoRequest{})
	if err != nil {
		return err
	}
	if most := int(info.GetLimits().GetMaxEventsPerRequest()); most > 0 && in.batch > most {
		return command.Usagef("--batch: the server takes at most %d events in a request", most)
	}
	in.limit = info.GetLimits().GetMaxRequestBytes()
	if in.limit <= requestOverhead {
		in.limit = fallbackRequestBytes
	}
	in.limit -= requestOverhead
	in.cut = cutter{maxLines: in.batch, maxBytes: int(in.limit)}
	in.types = command.NewPayloadTypes(c)
	in.lines, err = openLines(cmd.InOrStdin(), name)
	if err == nil && in.lines.terminal {
		fmt.Fprintln(cmd.ErrOrStderr(), "reading events, each a line of JSON, from the terminal: Ctrl-D ends them")
	}
	return err
}

// next returns the next batch. After the last it returns io.EOF.
func (in *eventInput) next(ctx context.Context) (*batch, error) {
	for {
		if len(in.whole) > 0 {
			b := in.whole[0]
			in.whole = in.whole[1:]
			return b, nil
		}
		if in.ended {
			return nil, io.EOF
		}
		l, err := in.lines.next(ctx)
		if errors.Is(err, io.EOF) {
			in.ended = true
			in.whole = in.cut.flush()
			continue
		}
		if err != nil {
			return nil, err
		}
		event, topic, err := in.event(ctx, l)
		if err != nil {
			return nil, err
		}
		in.whole = in.cut.add(event, topic, l.number)
		in.read(l.end)
	}
}

// event reads the event of a line and finds the topic to cut it by. The event
// is nil if it is refused.
func (in *eventInput) event(ctx context.Context, l line) (*tidingsv1.Event, string, error) {
	event, refusal, err := parseEvent(ctx, in.types, l.text)
	if err != nil {
		return nil, "", fmt.Errorf("line %d: %w", l.number, err)
	}
	if refusal != nil {
		if hint := lineHint(l.text); hint != "" && !in.hinted && refusal.GetReason() == tidingsv1.ErrorReason_ERROR_REASON_REQUEST_MALFORMED {
			in.hinted = true
			refusal.Message += "\n  " + hint
		}
		return nil, "", in.refused(l.number, refusal)
	}
	if event.GetSource() == "" {
		event.Source = in.source
	}
	if event.GetId() == "" && in.assignIDs {
		event.Id = rand.Text()
	}
	if size := int64(eventSize(event)); size > in.limit {
		return nil, "", in.refused(l.number, tooLarge(size, in.limit))
	}
	topic := in.topic
	if topic == "" && in.byTopic && event.GetData() != nil {
		t, err := in.types.Get(ctx, command.TypeName(event.GetData().GetTypeUrl()))
		if err == nil {
			topic = t.EventType.GetTopic()
		}
		// Any other event is the server's to refuse.
	}
	return event, topic, nil
}

// tooLarge is the refusal of an event that no request can hold. Sent, it would
// end the call and with it every other batch.
func tooLarge(size, limit int64) *tidingsv1.ErrorDetail {
	return &tidingsv1.ErrorDetail{
		Reason:  tidingsv1.ErrorReason_ERROR_REASON_EVENT_TOO_LARGE,
		Code:    tidingsv1.StatusCode_STATUS_CODE_INVALID_ARGUMENT,
		Message: "the event is larger than a request can be",
		Metadata: map[string]string{
			"size":  strconv.FormatInt(size, 10),
			"limit": strconv.FormatInt(limit, 10),
		},
	}
}

// stoppedAt is the error of a command that stops at a refused line.
func (in *eventInput) stoppedAt(number int64, f *command.Failure) error {
	first := number
	for _, b := range in.cut.open {
		first = min(first, b.lines[0])
	}
	return command.WithStatus(f.Status(), fmt.Errorf("line %d: %s\n  nothing from line %d on has been sent", number, f, first))
}
