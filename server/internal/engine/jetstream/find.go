package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/eventlog"
)

// find notes where those of the parts are that are stored, and returns how many
// they are.
func (w *writing) find(ctx context.Context, parts []*part) (found int, err error) {
	info, err := w.engine.reads.info(ctx, streamName(w.topic.Name))
	if err != nil {
		return 0, err
	}
	// JetStream has no request for it. A message with an expectation that never
	// holds is never stored, and an identity that is taken is answered before
	// the expectation is looked at. Which expectations those are depends on
	// whether the stream is replicated.
	header, value := jetstream.ExpectedLastMsgIDHeader, "tidings-none-"+nuid.Next()
	if info.Config.Replicas > 1 {
		header, value = jetstream.ExpectedLastSeqHeader, strconv.FormatInt(never, 10)
	}
	futures := make([]jetstream.PubAckFuture, len(parts))
	for i, p := range parts {
		if futures[i], err = w.engine.writes.publish(&nats.Msg{
			Subject: subject(w.topic.Name, ""),
			Header:  nats.Header{jetstream.MsgIDHeader: []string{p.id}, header: []string{value}},
		}); err != nil {
			return 0, err
		}
	}
	for i, p := range parts {
		ack, err := wait(ctx, futures[i])
		switch err = translate(ctx, err); {
		case errors.Is(err, engine.ErrSequence), errors.Is(err, errTaken):
			continue // Not taken, or not stored yet.
		case err != nil:
			return 0, err
		case !ack.Duplicate:
			return 0, fmt.Errorf("%w: JetStream stored a message that it had to refuse", engine.ErrUnavailable)
		}
		if err := w.compare(ctx, p, ack.Sequence); err != nil {
			return 0, err
		}
		p.record, p.duplicate = ack.Sequence, true
		found++
	}
	return found, nil
}

// compare returns a *ConflictError unless the record that is stored under the
// identity of a part has the same content. What retention has removed can't be
// compared and counts as the same.
func (w *writing) compare(ctx context.Context, p *part, record uint64) error {
	stored, err := w.engine.stored(ctx, w.topic, record)
	if err = translate(ctx, err); errors.Is(err, engine.ErrRecordNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	hash, err := w.hashOf(stored)
	if err != nil {
		return err
	}
	if hash == p.hash {
		return nil
	}
	conflict := &engine.ConflictError{Sequence: sequenceOf(record, 0), Hash: hash}
	for i := range w.parts {
		if p == &w.parts[i] {
			conflict.Event = i
		}
	}
	return conflict
}

// hashOf is the hash of a record's content.
func (w *writing) hashOf(stored *message) (uint64, error) {
	damaged := func(err error) error {
		return &engine.DamageError{Topic: w.topic.Name, Place: fmt.Sprint("message ", stored.Sequence), Cause: err}
	}
	header, err := nats.DecodeHeadersMsg(stored.Header)
	if err != nil {
		return 0, damaged(err)
	}
	if value := header.Get(hashHeader); value != "" {
		hash, err := strconv.ParseUint(value, 16, 64)
		if err != nil {
			return 0, damaged(err)
		}
		return hash, nil
	}
	// An earlier release stored it.
	events, err := eventlog.Events(sequenceOf(stored.Sequence, 0), stored.Data, nil)
	if err != nil {
		return 0, damaged(err)
	}
	if byEvent(w.topic) {
		return eventlog.HashOf(events[0]), nil
	}
	var content eventlog.Hash
	for _, raw := range events {
		content.Add(eventlog.HashOf(raw))
	}
	return content.Sum(), nil
}
