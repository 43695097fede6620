package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Reader reads the records of a topic in their order and then waits for new
// ones. It is for one goroutine.
type Reader struct {
	engine   *Engine
	stream   string
	consumer jetstream.Consumer
	messages jetstream.MessagesContext
	pending  uint64
}

const (
	// readAhead is the number of records that are fetched before they are
	// asked for, and readAheadBytes bounds one request for them.
	readAhead      = 256
	readAheadBytes = 8 << 20
	// readerResets is how often a reader looks for its stream again before it
	// fails.
	readerResets = 5
)

// Read opens a reader that begins at the first record with a sequence, or, if
// sequence is 0, at the first that was stored at a time or later. The caller
// closes it.
func (e *Engine) Read(ctx context.Context, topic *Topic, sequence uint64, from time.Time) (*Reader, error) {
	return e.readStream(ctx, streamName(topic.Name), sequence, from)
}

func (e *Engine) readStream(ctx context.Context, stream string, sequence uint64, from time.Time) (*Reader, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	config := jetstream.OrderedConsumerConfig{
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       sequence,
		MaxResetAttempts:  readerResets,
		InactiveThreshold: time.Minute,
	}
	if sequence == 0 {
		config.DeliverPolicy = jetstream.DeliverByStartTimePolicy
		config.OptStartTime = &from
	}
	consumer, err := e.js.OrderedConsumer(ctx, stream, config)
	if err != nil {
		return nil, translate(err)
	}
	r := &Reader{engine: e, stream: stream, consumer: consumer}
	r.messages, err = consumer.Messages(
		jetstream.PullMaxMessagesWithBytesLimit(readAhead, max(readAheadBytes, 2*e.MaxRecordBytes())))
	if err != nil {
		return nil, translate(err)
	}
	r.pending = consumer.CachedInfo().NumPending
	return r, nil
}

// Pending is the number of records that were waiting when the reader was
// opened.
func (r *Reader) Pending() uint64 { return r.pending }

// Next waits for the next record. It returns ErrTopicNotFound if the topic is
// gone, ErrUnavailable, or the error of the context, after which it may be
// called again.
func (r *Reader) Next(ctx context.Context) (Record, error) {
	message, err := r.messages.Next(jetstream.NextContext(ctx))
	if err != nil {
		if ctx.Err() != nil {
			return Record{}, ctx.Err()
		}
		look, cancel := bounded(context.WithoutCancel(ctx))
		defer cancel()
		if _, gone := r.engine.js.Stream(look, r.stream); errors.Is(translate(gone), ErrTopicNotFound) {
			return Record{}, translate(gone)
		}
		return Record{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	metadata, err := message.Metadata()
	if err != nil {
		return Record{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return Record{
		Sequence: metadata.Sequence.Stream,
		Time:     metadata.Timestamp,
		Data:     message.Data(),
		Pending:  metadata.NumPending,
	}, nil
}

// Close ends the reader.
func (r *Reader) Close() {
	r.messages.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	// Where it fails, JetStream removes the consumer when nobody asks for a
	// minute.
	_ = r.engine.js.DeleteConsumer(ctx, r.stream, r.consumer.CachedInfo().Name)
}
