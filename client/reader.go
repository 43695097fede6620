package client

import (
	"cmp"
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/durationpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

const (
	// readHeartbeat is how often the server is to say that a call is alive.
	readHeartbeat = 5 * time.Second
	// readSilence is how long nothing may come before the connection is taken for dead.
	readSilence = 3 * readHeartbeat
)

// Reader reads the events of a topic, and reads on where a connection is lost; see
// [Reader.Events]. It is for one goroutine at a time.
type Reader struct {
	calls   calls
	topic   string
	options ReaderOptions
	cursor  string // The position reached. Empty: none known.
	events  int64  // Read so far.
}

// ReaderOptions are what a reader reads, and how. The zero value of each field has a
// default.
type ReaderOptions struct {
	// Start is where to begin. Nil: at the earliest event. Where it is
	// START_BOUNDARY_NEW or START_BOUNDARY_LATEST, and the first connection is lost
	// before the server has told the cursor of that position, the reader begins at
	// what is new or latest when it connects again.
	Start *tidingsv1.StartPosition
	// Stop is where to stop. Nil: never, so that the reader follows the topic.
	Stop *tidingsv1.StopPosition
	// Filter says which events to read. Nil: all.
	Filter *tidingsv1.EventFilter
	// MaxEvents is how many events to read at most. 0: no bound.
	MaxEvents int64
	// Trace is told of lost connections, for metrics and tests.
	Trace ReaderTrace
	// Logger is told of lost connections, and by Events of events that retention has
	// removed before they were read. Nil: [slog.Default].
	Logger *slog.Logger
}

// ReaderTrace are functions that a reader calls. A nil one is not called.
type ReaderTrace struct {
	// Reconnecting is called when a call has ended with err, io.EOF where the server
	// ended it in good order. The next one follows within the delay.
	Reconnecting func(err error, delay time.Duration)
}

// Event is an event that was read. It is the caller's, who may keep and change it. It
// shares memory with at most 31 others that came with it, which all stay in memory as long
// as one of them does: to keep few events of many, or strings of them, keep
// copies, which [proto.Clone] and [strings.Clone] make.
type Event struct {
	*tidingsv1.RecordedEvent

	// Message is the content, as the generated type of it. Nil: the event has none, or
	// it couldn't be decoded, which is a [*ContentError].
	Message proto.Message
}

// ContentError says that the content of an event couldn't be decoded. Where the program
// isn't linked with the event type it is a protoregistry.NotFound.
type ContentError struct {
	// Type is the full name of the event type.
	Type protoreflect.FullName
	// Err says why.
	Err error
}

// Error names the type and says why.
func (e *ContentError) Error() string {
	return "decode the content of an event, " + string(e.Type) + ": " + e.Err.Error()
}

// Unwrap returns why.
func (e *ContentError) Unwrap() error { return e.Err }

// Reader returns a reader of a topic.
func (c *Client) Reader(topic string, options ReaderOptions) *Reader {
	options.Logger = cmp.Or(options.Logger, slog.Default())
	if options.Trace.Reconnecting == nil {
		options.Trace.Reconnecting = func(error, time.Duration) {}
	}
	return &Reader{calls: c.calls, topic: topic, options: options}
}

// Cursor returns the position that has been reached, to be stored and given to
// another reader as its start: after the event that the loop over Events has last got,
// or later where a filter left out what followed. Empty: there is none yet.
func (r *Reader) Cursor() string { return r.cursor }

// Events iterates over the events, in the order of their sequence, each once. Leaving
// the loop ends the call; iterating again goes on after [Reader.Cursor].
//
// An event whose content can't be decoded comes with a [*ContentError], and the next
// ones follow if the loop goes on. Any other error comes without an event and is the
// last: the cause of the context when that ends, or what another call wouldn't mend,
// such as TOPIC_NOT_FOUND or CURSOR_EXPIRED; see [Reason]. When a connection is lost,
// or says nothing for 15 seconds, the reader connects again with exponential back-off,
// and goes on after the last position that it knows.
//
// Without an error the iteration ends at ReaderOptions.Stop or after MaxEvents.
func (r *Reader) Events(ctx context.Context) iter.Seq2[*Event, error] {
	return func(yield func(*Event, error) bool) {
		var contents contentDecoder
		var memory []Event // Of a run of events, as their other memory.
		err := r.run(ctx, func(frame *tidingsv1.ReadResponse) bool {
			if gap := frame.GetGap(); gap != nil {
				r.options.Logger.Warn("events are gone: retention has removed them", "topic", r.topic,
					"first sequence", gap.GetFirstSequence(), "next sequence", gap.GetNextSequence())
			}
			events := frame.GetEvents().GetEvents()
			for i, recorded := range events {
				r.got(recorded)
				if i%runEvents == 0 {
					memory = make([]Event, min(len(events)-i, runEvents))
				}
				event := &memory[i%runEvents]
				event.RecordedEvent = recorded
				if !yield(event, contents.decode(event)) {
					return false
				}
			}
			return true
		})
		if err != nil {
			yield(nil, err)
		}
	}
}

// Frames is Events for those who want to know more: it iterates over what the server
// sends, batches of events and what is between them, heartbeats too. Cursor is the
// position after the last event of a batch.
//
// The content of the events is left as it is, encoded, for those who need that of some
// alone, or who decode into a message of their own by anypb's UnmarshalTo. To decode the
// contents, too, takes about as long again.
func (r *Reader) Frames(ctx context.Context) iter.Seq2[*tidingsv1.ReadResponse, error] {
	return func(yield func(*tidingsv1.ReadResponse, error) bool) {
		err := r.run(ctx, func(frame *tidingsv1.ReadResponse) bool {
			for _, recorded := range frame.GetEvents().GetEvents() {
				r.got(recorded)
			}
			return yield(frame, nil)
		})
		if err != nil {
			yield(nil, err)
		}
	}
}

// contentDecoder decodes the contents of events, which are mostly of the type of the one
// before.
type contentDecoder struct {
	url  string
	kind protoreflect.MessageType
}

// decode sets the message of an event.
func (d *contentDecoder) decode(event *Event) error {
	data := event.GetEvent().GetData()
	if data == nil {
		return nil
	}
	if d.kind == nil || data.GetTypeUrl() != d.url {
		kind, err := protoregistry.GlobalTypes.FindMessageByURL(data.GetTypeUrl())
		if err != nil {
			return &ContentError{data.MessageName(), err}
		}
		d.url, d.kind = data.GetTypeUrl(), kind
	}
	message := d.kind.New().Interface()
	if err := proto.Unmarshal(data.GetValue(), message); err != nil {
		return &ContentError{data.MessageName(), err}
	}
	event.Message = message
	return nil
}

// run makes calls and gives their frames to take, until there is nothing more to read
// or take returns false.
func (r *Reader) run(ctx context.Context, take func(*tidingsv1.ReadResponse) bool) error {
	for delay := firstDelay; !r.enough(); {
		heard, err := r.call(ctx, take)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !passes(err) && !errors.Is(err, errSilent):
			return err
		case heard:
			delay = firstDelay
		}
		asked := RetryDelay(err)
		r.options.Logger.Warn("the connection was lost", "topic", r.topic, "error", err, "reconnecting within", asked+delay)
		r.options.Trace.Reconnecting(err, asked+delay)
		timer := time.NewTimer(asked + jittered(delay))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
		delay = min(2*delay, lastDelay)
	}
	return nil
}

// call makes one call and gives its frames to take. The error says why the call ended,
// nil that there is nothing more to read, or that take returned false. heard reports
// whether a frame came.
func (r *Reader) call(ctx context.Context, take func(*tidingsv1.ReadResponse) bool) (heard bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	quiet := time.AfterFunc(readSilence, func() { cancel(errSilent) })
	defer quiet.Stop()
	stream, err := r.calls.read(ctx, r.request())
	if err != nil {
		return false, cmp.Or(context.Cause(ctx), err)
	}
	for {
		frame, err := stream.Recv()
		switch {
		case err == io.EOF && r.options.Stop != nil: //nolint:errorlint // Only the end in good order isn't wrapped.
			return heard, nil
		case err != nil:
			return heard, cmp.Or(context.Cause(ctx), err)
		}
		// The time that the loop takes isn't the server's.
		quiet.Stop()
		heard = true
		r.reached(frame)
		if !take(frame) || r.enough() {
			release(cancel, stream)
			return heard, nil
		}
		quiet.Reset(readSilence)
	}
}

// release ends a call and waits for its end, so that it leaves nothing behind.
func release(cancel context.CancelCauseFunc, stream receiver[tidingsv1.ReadResponse]) {
	cancel(nil)
	for {
		if _, err := stream.Recv(); err != nil {
			return
		}
	}
}

// request returns the request for what hasn't been read.
func (r *Reader) request() *tidingsv1.ReadRequest {
	request := &tidingsv1.ReadRequest{
		Topic: r.topic, Start: r.options.Start, Stop: r.options.Stop, Filter: r.options.Filter,
		HeartbeatInterval: durationpb.New(readHeartbeat),
	}
	if r.cursor != "" {
		request.Start = &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Cursor{Cursor: r.cursor}}
	}
	if r.options.MaxEvents > 0 {
		request.MaxEvents = r.options.MaxEvents - r.events
	}
	return request
}

// enough reports whether as many events have been read as are wanted.
func (r *Reader) enough() bool { return r.options.MaxEvents > 0 && r.events >= r.options.MaxEvents }

// got notes that an event is read.
func (r *Reader) got(recorded *tidingsv1.RecordedEvent) {
	r.cursor = cmp.Or(recorded.GetCursor(), r.cursor)
	r.events++
}

// reached notes the position that a frame between events tells.
func (r *Reader) reached(frame *tidingsv1.ReadResponse) {
	r.cursor = cmp.Or(frame.GetCaughtUp().GetCursor(), frame.GetCheckpoint().GetCursor(),
		frame.GetHeartbeat().GetCursor(), frame.GetDraining().GetCursor(), r.cursor)
}
