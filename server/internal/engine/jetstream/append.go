package engine

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// Entry is a record to append.
type Entry struct {
	// ID is what a repetition is recognised by. Required.
	ID string
	// Key is the partition key by whose last sequence LastOfKey finds the
	// record. Empty: none.
	Key string
	// Data is the record. It is not changed, and the caller doesn't change it
	// before the append is answered.
	Data []byte
	// ExpectedLast is the sequence that the last record of the topic, or of
	// Key where ExpectKey is set, must have; 0: there must never have been one.
	// nil: nothing is expected. In an atomic append, that of the first entry
	// counts.
	ExpectedLast *uint64
	// ExpectKey makes ExpectedLast about the key.
	ExpectKey bool
}

// Ack says where a record is.
type Ack struct {
	// Sequence is the record's place in the topic, from 1.
	Sequence uint64
	// Duplicate says that an earlier append stored it.
	Duplicate bool
}

// Append is an append under way.
type Append struct {
	engine *Engine
	future jetstream.PubAckFuture
}

func (e *Engine) message(topic *Topic, entry Entry) *nats.Msg {
	header := nats.Header{jetstream.MsgIDHeader: []string{entry.ID}}
	if entry.ExpectedLast != nil {
		name := jetstream.ExpectedLastSeqHeader
		if entry.ExpectKey {
			name = jetstream.ExpectedLastSubjSeqHeader
		}
		header[name] = []string{strconv.FormatUint(*entry.ExpectedLast, 10)}
	}
	return &nats.Msg{Subject: subject(topic.Name, keyToken(entry.Key)), Header: header, Data: entry.Data}
}

func subject(topic, token string) string {
	const prefix = "tidings.topic."
	if token == "" {
		return prefix + topic
	}
	return prefix + topic + "." + token
}

// keyToken turns a key into a part of a subject: of one length, and without
// the characters that subjects don't allow.
func keyToken(key string) string {
	if key == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(key))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// Start begins an append. Appends to a topic are stored in the order in which
// they were started. It blocks while too many are under way.
func (e *Engine) Start(topic *Topic, entry Entry) (*Append, error) {
	if len(entry.Data) > e.MaxRecordBytes() {
		return nil, ErrTooLarge
	}
	future, err := e.js.PublishMsgAsync(e.message(topic, entry), jetstream.WithStallWait(callTimeout))
	if err != nil {
		return nil, translate(err)
	}
	return &Append{engine: e, future: future}, nil
}

// Wait waits until the record is stored as durably as the engine promises. It
// returns ErrSequence, ErrTopicNotFound, ErrFull, ErrUnavailable or the error
// of the context, after which whether the record is stored isn't known. A
// repetition that also expects a sequence may get either its Ack or
// ErrSequence; see Find.
func (a *Append) Wait(ctx context.Context) (Ack, error) {
	select {
	case ack := <-a.future.Ok():
		if err := a.engine.syncer.wait(ctx); err != nil {
			return Ack{}, err
		}
		return Ack{Sequence: ack.Sequence, Duplicate: ack.Duplicate}, nil
	case err := <-a.future.Err():
		return Ack{}, translate(err)
	case <-ctx.Done():
		return Ack{}, ctx.Err()
	}
}

// AppendAtomic stores 2 to MaxAtomic records together or not at all and returns the
// sequence of the first; the others follow it without a gap. Where one of the
// identities is taken it returns ErrDuplicate and stores none.
func (e *Engine) AppendAtomic(ctx context.Context, topic *Topic, entries []Entry) (first uint64, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	select {
	case e.atomics <- struct{}{}:
		defer func() { <-e.atomics }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	messages := make([]*nats.Msg, len(entries))
	for i, entry := range entries {
		if len(entry.Data) > e.MaxRecordBytes() {
			return 0, ErrTooLarge
		}
		if i > 0 {
			entry.ExpectedLast = nil
		}
		messages[i] = e.message(topic, entry)
	}
	last, err := e.publishAtomic(ctx, messages)
	if err != nil {
		return 0, err
	}
	return last - uint64(len(entries)) + 1, nil
}

// publishAtomic stores 2 to MaxAtomic messages of a stream together or not at
// all, as durably as the engine promises, and returns the sequence of the last.
func (e *Engine) publishAtomic(ctx context.Context, messages []*nats.Msg) (last uint64, err error) {
	batch := nuid.Next()
	for i, message := range messages {
		message.Header[batchIDHeader] = []string{batch}
		message.Header[batchSequenceHeader] = []string{strconv.Itoa(i + 1)}
		if i < len(messages)-1 {
			if err := e.conn.PublishMsg(message); err != nil {
				return 0, translate(err)
			}
			continue
		}
		message.Header[batchCommitHeader] = []string{"1"}
		ack, err := e.js.PublishMsg(ctx, message)
		if err != nil {
			return 0, translate(err)
		}
		last = ack.Sequence
	}
	return last, e.syncer.wait(ctx)
}

// The headers of an atomic append.
const (
	batchIDHeader       = "Nats-Batch-Id"
	batchSequenceHeader = "Nats-Batch-Sequence"
	batchCommitHeader   = "Nats-Batch-Commit"
)

// MaxAtomic is the number of records of an atomic append: JetStream's bound.
const MaxAtomic = 1000

// Find returns where the record with an identity is, or ErrRecordNotFound if
// the identity isn't taken within the topic's window.
func (e *Engine) Find(ctx context.Context, topic *Topic, id string) (Ack, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	// JetStream has no request for it. A message with an expectation that never
	// holds is never stored, and an identity that is taken is answered before
	// the expectation is looked at. Which expectations those are depends on
	// whether the stream is replicated.
	header := nats.Header{jetstream.MsgIDHeader: []string{id}}
	if e.replicas > 1 {
		header[jetstream.ExpectedLastSeqHeader] = []string{strconv.FormatInt(math.MaxInt64, 10)}
	} else {
		header[jetstream.ExpectedLastMsgIDHeader] = []string{"tidings-none-" + nuid.Next()}
	}
	ack, err := e.js.PublishMsg(ctx, &nats.Msg{
		Subject: subject(topic.Name, ""),
		Header:  header,
	})
	switch err = translate(err); {
	case errors.Is(err, ErrSequence):
		return Ack{}, ErrRecordNotFound
	case err != nil:
		return Ack{}, err
	case !ack.Duplicate:
		return Ack{}, fmt.Errorf("%w: JetStream stored a message that it had to refuse", ErrUnavailable)
	}
	if err := e.syncer.wait(ctx); err != nil {
		return Ack{}, err
	}
	return Ack{Sequence: ack.Sequence, Duplicate: true}, nil
}
