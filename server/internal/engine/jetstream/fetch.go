package engine

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Record is a stored record.
type Record struct {
	// Sequence is the record's place in the topic, from 1.
	Sequence uint64
	// Time is when it was stored.
	Time time.Time
	// Data is what was appended. The reader may keep it, not change it.
	Data []byte
	// Pending is the number of records after it when it was read. Only Reader
	// sets it.
	Pending uint64
}

// State is what a topic holds.
type State struct {
	// First is the lowest sequence that a record of the topic can have now. It
	// is Last + 1 where the topic is empty.
	First uint64
	// Last is the sequence of the last record that was ever stored, or 0.
	Last uint64
	// Bytes is the storage that the records take.
	Bytes uint64
	// LastTime is when the last record was stored, or zero.
	LastTime time.Time
}

// State returns what a topic holds now.
func (e *Engine) State(ctx context.Context, topic *Topic) (State, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	stream, err := e.js.Stream(ctx, streamName(topic.Name))
	if err != nil {
		return State{}, translate(err)
	}
	state := stream.CachedInfo().State
	result := State{First: state.FirstSeq, Last: state.LastSeq, Bytes: state.Bytes}
	if state.LastSeq > 0 {
		result.LastTime = state.LastTime
	}
	if state.Msgs == 0 {
		result.First = state.LastSeq + 1
	}
	return result, nil
}

// Get returns the record with a sequence, or ErrRecordNotFound.
func (e *Engine) Get(ctx context.Context, topic *Topic, sequence uint64) (Record, error) {
	if sequence == 0 { // JetStream takes it for a request that names none.
		return Record{}, ErrRecordNotFound
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	return e.get(ctx, topic, func(stream jetstream.Stream) (*jetstream.RawStreamMsg, error) {
		return stream.GetMsg(ctx, sequence)
	})
}

// LastOfKey returns the last record that was appended with a key, or
// ErrRecordNotFound.
func (e *Engine) LastOfKey(ctx context.Context, topic *Topic, key string) (Record, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	return e.get(ctx, topic, func(stream jetstream.Stream) (*jetstream.RawStreamMsg, error) {
		return stream.GetLastMsgForSubject(ctx, subject(topic.Name, keyToken(key)))
	})
}

func (e *Engine) get(ctx context.Context, topic *Topic, load func(jetstream.Stream) (*jetstream.RawStreamMsg, error)) (Record, error) {
	stream, err := e.js.Stream(ctx, streamName(topic.Name))
	if err != nil {
		return Record{}, translate(err)
	}
	message, err := load(stream)
	if err != nil {
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return Record{}, ErrRecordNotFound
		}
		return Record{}, translate(err)
	}
	return Record{Sequence: message.Sequence, Time: message.Time, Data: message.Data}, nil
}
