package jetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"example.com/tidings/server/internal/engine"
)

// reader reads the messages of a stream in their order and then waits for new
// ones, through a consumer that it makes anew whenever something is wrong with
// it.
type reader struct {
	engine *Engine
	stream string
	gone   <-chan struct{}                    // Closed once the stream is.
	fail   func(context.Context, error) error // Translates an error.
	more   bool

	next  uint64    // The sequence of the next message. 0: since says where to begin.
	since time.Time // Messages from before aren't for this reader.

	consumer  string // Its name. Empty: there is none.
	delivered uint64 // The consumer's count of the last message.
	sub       *nats.Subscription
	arrived   chan *nats.Msg
	pull      pull
	pulls     int
	pending   uint64 // The messages that were waiting behind the last one.
	large     bool   // The next message may be larger than aheadBytes.
}

const (
	// readAhead bounds the messages that are fetched before they are asked for.
	readAhead = 512
	// Every reader may fetch leastAhead bytes, or one message that is larger, and
	// aheadBytes where messages are waiting and all readers together have fetched
	// less than maxBytesAhead like that.
	leastAhead    = 64 << 10
	aheadBytes    = 2 << 20
	maxBytesAhead = 128 << 20
	// A reader of a stream where nothing happens hears of it every second. After
	// maxSilence something is wrong.
	heartbeat   = time.Second
	pullExpires = 30 * time.Second
	maxSilence  = 2500 * time.Millisecond
	// consumerIdle is the time after which JetStream removes the consumer of a
	// reader that doesn't read.
	consumerIdle = time.Minute
)

// pull is a request for messages.
type pull struct {
	subject string // Where the answers come. Empty: there is none under way.
	left    int    // The messages that may still come.
	came    bool   // One has.
	granted int64  // The bytes of Engine.ahead that it holds.
}

// Read implements engine.Records.
func (e *Engine) Read(ctx context.Context, topic *engine.Topic, from engine.ReadFrom) (engine.Reader, error) {
	if err := e.topics.check(topic); err != nil {
		return nil, err
	}
	if from.Key != "" {
		return nil, fmt.Errorf("%w: reading by key", engine.ErrUnsupported)
	}
	r := &reader{
		stream: streamName(topic.Name),
		gone:   e.topics.whenGone(topic),
		fail:   func(ctx context.Context, err error) error { return e.topicError(ctx, topic, err) },
		since:  from.Time,
	}
	if from.Time.IsZero() {
		number, _ := split(max(from.Sequence, 0))
		r.next = max(number, 1)
	}
	if err := e.read(ctx, r); err != nil {
		return nil, err
	}
	return topicReader{r}, nil
}

// topicReader is the reader of a topic.
type topicReader struct{ *reader }

// Next implements engine.Reader.
func (r topicReader) Next(ctx context.Context) (engine.Record, error) {
	message, metadata, err := r.reader.Next(ctx)
	if err != nil {
		return engine.Record{}, err
	}
	result := record(metadata.Sequence.Stream, metadata.Timestamp, message.Data)
	result.More = metadata.NumPending > 0
	return result, nil
}

// read opens a reader.
func (e *Engine) read(ctx context.Context, r *reader) error {
	r.engine = e
	if err := do(ctx, r.open); err != nil {
		return r.fail(ctx, err)
	}
	r.more = r.pending > 0
	return nil
}

// More implements engine.Reader.
func (r *reader) More() bool { return r.more }

// open makes a consumer. It tries for as long as the context allows: there may be
// no leader just now.
func (r *reader) open(ctx context.Context) error {
	for {
		err := r.attempt(ctx)
		if err == nil || !errors.Is(translate(ctx, err), engine.ErrUnavailable) || missing(err) {
			return err
		}
		select {
		case <-r.gone:
			return errNoStream
		case <-ctx.Done():
			return err
		case <-time.After(attemptWait):
		}
	}
}

func (r *reader) attempt(ctx context.Context) (err error) {
	r.leave()
	config := jetstream.ConsumerConfig{
		Name:              nuid.Next(),
		AckPolicy:         jetstream.AckNonePolicy,
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       r.next,
		InactiveThreshold: consumerIdle,
		Replicas:          1,
		MemoryStorage:     true,
	}
	if r.next == 0 {
		config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartTimePolicy, &r.since
	}
	request := struct {
		Stream string                   `json:"stream_name"`
		Config jetstream.ConsumerConfig `json:"config"`
	}{r.stream, config}
	var response struct {
		answer
		Pending uint64 `json:"num_pending"`
	}
	if err := r.engine.reads.query(ctx, "CONSUMER.CREATE."+r.stream+"."+config.Name, request, &response); err != nil {
		return err
	}
	// A pull under way brings readAhead messages and pullExpires heartbeats, so
	// that nothing is dropped for want of room.
	r.arrived = make(chan *nats.Msg, readAhead+int(pullExpires/heartbeat)+8)
	inbox := r.engine.reads.conn.NewInbox()
	if r.sub, err = r.engine.reads.conn.ChanSubscribe(inbox+".*", r.arrived); err != nil {
		return err
	}
	r.consumer, r.delivered, r.pending = config.Name, 0, response.Pending
	return nil
}

// leave gives the consumer up. JetStream removes it by and by where it isn't told.
func (r *reader) leave() {
	r.ended()
	if r.consumer == "" {
		return
	}
	_ = r.sub.Unsubscribe()
	_ = r.engine.reads.conn.Publish(apiPrefix+"CONSUMER.DELETE."+r.stream+"."+r.consumer, nil)
	r.consumer = ""
}

// Close implements engine.Reader.
func (r *reader) Close() { r.leave() }

// Next waits for the next message.
func (r *reader) Next(ctx context.Context) (*nats.Msg, *nats.MsgMetadata, error) {
	select {
	case message := <-r.arrived: // Without a timer.
		metadata, err := r.take(message)
		if metadata != nil {
			return message, metadata, nil
		}
		if err != nil {
			r.leave()
		}
	default:
	}
	silence := time.NewTimer(maxSilence)
	defer silence.Stop()
	for {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		var err error
		if r.pull.subject == "" {
			err = r.ask()
		}
		if err == nil {
			select {
			case message := <-r.arrived:
				var metadata *nats.MsgMetadata
				if metadata, err = r.take(message); metadata != nil {
					return message, metadata, nil
				}
				silence.Reset(maxSilence)
			case <-silence.C:
				err = errSilence
			case <-r.gone:
				return nil, nil, r.fail(ctx, errNoStream)
			case <-ctx.Done():
			}
		}
		if err == nil {
			continue
		}
		r.engine.log.Debug("reading begins anew", "stream", r.stream, "error", err)
		if err := do(ctx, r.open); err != nil {
			return nil, nil, r.fail(ctx, err)
		}
		silence.Reset(maxSilence)
	}
}

// patientNext is Next with the deadline of a call.
func (r *reader) patientNext(ctx context.Context) (message *nats.Msg, metadata *nats.MsgMetadata, err error) {
	err = do(ctx, func(ctx context.Context) (err error) {
		message, metadata, err = r.Next(ctx)
		return err
	})
	return message, metadata, err
}

var (
	errSilence  = errors.New("JetStream is silent")
	errConsumer = errors.New("the consumer is gone")
	errGap      = errors.New("a message is missing")
)

// ask requests messages.
func (r *reader) ask() error {
	if r.consumer == "" {
		return errConsumer
	}
	request := map[string]any{"batch": readAhead, "max_bytes": leastAhead, "expires": pullExpires, "idle_heartbeat": heartbeat}
	p := pull{left: readAhead}
	switch {
	case r.large:
		p.left = 1
		request["batch"] = 1
		delete(request, "max_bytes")
	case r.pending > 0 && r.engine.ahead.TryAcquire(aheadBytes):
		p.granted = aheadBytes
		request["max_bytes"] = aheadBytes
		// It ends when none are waiting: the bytes aren't held longer.
		request["no_wait"] = true
	}
	r.pulls++
	p.subject = r.sub.Subject[:len(r.sub.Subject)-1] + fmt.Sprint(r.pulls)
	r.pull = p
	return r.engine.reads.request("CONSUMER.MSG.NEXT."+r.stream+"."+r.consumer, p.subject, request)
}

// ended notes that no more comes of the pull.
func (r *reader) ended() {
	if r.pull.granted > 0 {
		r.engine.ahead.Release(r.pull.granted)
	}
	r.pull = pull{}
}

// take looks at what has arrived. It returns the metadata of what is a message for
// this reader, or why the consumer is of no more use.
func (r *reader) take(message *nats.Msg) (*nats.MsgMetadata, error) {
	if len(message.Data) == 0 && message.Header.Get(statusHeader) != "" {
		return nil, r.status(message)
	}
	metadata, err := message.Metadata()
	if err != nil {
		return nil, err
	}
	r.delivered++
	if metadata.Sequence.Consumer != r.delivered {
		return nil, errGap
	}
	r.next, r.pending = metadata.Sequence.Stream+1, metadata.NumPending
	r.large = message.Size() > aheadBytes
	r.pull.came = true
	r.pull.left--
	if r.pull.left <= 0 {
		r.ended()
	}
	if metadata.Timestamp.Before(r.since) {
		return nil, nil //nolint:nilnil // It isn't for this reader.
	}
	return metadata, nil
}

const (
	statusHeader      = "Status"
	descriptionHeader = "Description"
)

// status looks at what JetStream says of a pull.
func (r *reader) status(message *nats.Msg) error {
	if message.Subject != r.pull.subject {
		return nil // Of an earlier one.
	}
	description := message.Header.Get(descriptionHeader)
	switch code := message.Header.Get(statusHeader); {
	case code == "100": // A heartbeat.
		return nil
	case code == "404", code == "408", code == "409" && description == "Batch Completed":
		r.ended()
		return nil
	case code == "409" && description == "Message Size Exceeds MaxBytes":
		r.large = !r.pull.came
		r.ended()
		return nil
	default:
		return fmt.Errorf("%w: %s %s", errConsumer, code, description)
	}
}
