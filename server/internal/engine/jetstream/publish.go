package jetstream

import (
	"context"
	"errors"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"example.com/tidings/server/internal/engine"
)

// publish sends a message to its stream. What nobody answers isn't sent again, or
// it would come after what was sent later.
func (l *link) publish(message *nats.Msg) (jetstream.PubAckFuture, error) {
	return l.js.PublishMsgAsync(message, jetstream.WithStallWait(engine.CallTimeout), jetstream.WithRetryAttempts(0))
}

// wait waits until a message is stored.
func wait(ctx context.Context, future jetstream.PubAckFuture) (*jetstream.PubAck, error) {
	select {
	case ack := <-future.Ok():
		return ack, nil
	case err := <-future.Err():
		return nil, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// maxAtomic is the number of messages of an atomic append: JetStream's bound.
const maxAtomic = 1000

// The headers of an atomic append.
const (
	batchIDHeader       = "Nats-Batch-Id"
	batchSequenceHeader = "Nats-Batch-Sequence"
	batchCommitHeader   = "Nats-Batch-Commit"
)

// publishAtomic stores 2 to maxAtomic messages of a stream together or not at
// all, and returns the sequence of the last; those of the others are before it
// without a gap.
func (e *Engine) publishAtomic(ctx context.Context, stream string, messages []*nats.Msg) (last uint64, err error) {
	select {
	case e.atomics <- struct{}{}:
		defer func() { <-e.atomics }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	// Other servers append too.
	for round := range maxRounds {
		if err := pause(ctx, round); err != nil {
			return 0, err
		}
		last, err = e.publishBatch(ctx, stream, messages)
		if !errors.Is(translate(ctx, err), errBusy) {
			break
		}
	}
	return last, err
}

func (e *Engine) publishBatch(ctx context.Context, stream string, messages []*nats.Msg) (last uint64, err error) {
	batch := nuid.Next()
	for i, message := range messages {
		if message.Header == nil {
			message.Header = nats.Header{}
		}
		message.Header[batchIDHeader] = []string{batch}
		message.Header[batchSequenceHeader] = []string{strconv.Itoa(i + 1)}
		if i < len(messages)-1 {
			if err := e.writes.conn.PublishMsg(message); err != nil {
				return 0, err
			}
		}
	}
	commit := messages[len(messages)-1]
	commit.Header[batchCommitHeader] = []string{"1"}
	future, err := e.writes.publish(commit)
	if err != nil {
		return 0, err
	}
	ack, err := e.acknowledged(ctx, stream, future)
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}
