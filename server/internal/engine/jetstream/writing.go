package jetstream

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/eventlog"
)

// writing is a batch that is being stored in a topic: as one record, or, in a topic with
// DEDUPE_EVENT, as one for each event.
type writing struct {
	engine *Engine
	topic  *engine.Topic
	expect *engine.Expectation // nil: nothing is expected.
	parts  []part
	// sent is the only part, which is in flight. nil: nothing is.
	sent jetstream.PubAckFuture
}

// part is what is stored as one record.
type part struct {
	id   string
	hash uint64
	key  string
	data []byte

	// record is its sequence once it is stored, 0 before.
	record    uint64
	duplicate bool
}

func (e *Engine) newWriting(topic *engine.Topic, batch *engine.Batch) *writing {
	w := &writing{engine: e, topic: topic}
	if len(batch.Expect) > 0 {
		w.expect = &batch.Expect[0]
	}
	if len(batch.Events) == 0 {
		return w
	}
	if !byEvent(topic) {
		w.parts = []part{{id: identity('s', batch.ID), hash: batch.Hash, data: batch.Data}}
		return w
	}
	w.parts = make([]part, len(batch.Events))
	for i, event := range batch.Events {
		data := batch.Data
		if len(batch.Events) > 1 {
			raw := batch.Bytes(batch.Data, i)
			data = eventlog.AppendHeaderOf(make([]byte, 0, headerSize(batch)+len(raw)), batch.Data[:batch.Head], i)
			data = append(data, raw...)
		}
		w.parts[i] = part{id: identity('e', event.ID), hash: event.Hash, key: event.Key, data: data}
	}
	return w
}

// headerSize is the most that the header of one event of a batch has.
func headerSize(batch *engine.Batch) int {
	return eventlog.HeaderSize(len(eventlog.HeaderOf(batch.Data[:batch.Head]).Publisher), 1)
}

// identity is what JetStream recognises a repetition by. The letter says what it
// is the identity of.
func identity(of byte, id engine.ID) string {
	room := make([]byte, 1, 1+24)
	room[0] = of
	return string(base64.RawURLEncoding.AppendEncode(room, id[:]))
}

// slow says that it isn't one message.
func (w *writing) slow() bool { return len(w.parts) != 1 || w.expect != nil }

// send sends the only part.
func (w *writing) send() (err error) {
	w.sent, err = w.engine.writes.publish(w.message(&w.parts[0]))
	return err
}

// run stores what isn't stored yet, together.
func (w *writing) run(ctx context.Context) (engine.Appended, error) {
	if len(w.parts) == 0 {
		return engine.Appended{}, w.check(ctx)
	}
	var err error
	for round := range maxRounds {
		// Each finds what others have stored since the one before.
		var fresh []*part
		for i := range w.parts {
			if w.parts[i].record == 0 {
				fresh = append(fresh, &w.parts[i])
			}
		}
		if len(fresh) == 0 {
			return w.appended(), nil
		}
		if err := pause(ctx, round); err != nil {
			return engine.Appended{}, err
		}
		err = translate(ctx, w.store(ctx, fresh))
		switch {
		case err == nil:
			continue
		case !errors.Is(err, errTaken) && !errors.Is(err, engine.ErrSequence):
			return engine.Appended{}, err
		}
		found, findErr := w.find(ctx, fresh)
		if findErr != nil {
			return engine.Appended{}, findErr
		}
		if errors.Is(err, engine.ErrSequence) && w.expect != nil && found < len(fresh) {
			actual, met, findErr := w.met(ctx)
			if findErr != nil {
				return engine.Appended{}, findErr
			}
			if !met {
				return engine.Appended{}, &engine.SequenceError{Actual: actual}
			}
			// What is in the way isn't stored yet, or came to nothing.
		}
	}
	// Only if others store some of the same events all the time.
	return engine.Appended{}, fmt.Errorf("%w: %v", engine.ErrUnavailable, err) //nolint:errorlint // It is this one alone.
}

// maxRounds bounds the attempts to store a batch of which others are storing
// parts.
const maxRounds = 10

// pause waits before a round other than the first: what is in the way may be a
// batch that isn't stored yet and so can't be found.
func pause(ctx context.Context, round int) error {
	if round == 0 {
		return nil
	}
	timer := time.NewTimer(time.Millisecond << round)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *writing) appended() engine.Appended {
	if !byEvent(w.topic) {
		return engine.Appended{First: sequenceOf(w.parts[0].record, 0), Duplicate: w.parts[0].duplicate}
	}
	result := engine.Appended{Each: make([]engine.Place, len(w.parts)), Duplicate: true}
	for i, p := range w.parts {
		result.Each[i] = engine.Place{Sequence: sequenceOf(p.record, 0), Duplicate: p.duplicate}
		result.Duplicate = result.Duplicate && p.duplicate
	}
	result.First = result.Each[0].Sequence
	return result
}

// store stores parts together. It returns ErrSequence or errTaken.
func (w *writing) store(ctx context.Context, fresh []*part) error {
	sent := w.sent
	w.sent = nil
	if sent == nil {
		messages := make([]*nats.Msg, len(fresh))
		for i, p := range fresh {
			messages[i] = w.message(p)
		}
		// What is expected is expected of the first that is stored.
		if err := w.addExpectation(ctx, messages[0]); err != nil {
			return err
		}
		if len(messages) > 1 {
			last, err := w.engine.publishAtomic(ctx, streamName(w.topic.Name), messages)
			if err != nil {
				return err
			}
			for i, p := range fresh {
				p.record = last - uint64(len(fresh)-1-i)
			}
			return nil
		}
		var err error
		if sent, err = w.engine.writes.publish(messages[0]); err != nil {
			return err
		}
	}
	ack, err := w.engine.acknowledged(ctx, streamName(w.topic.Name), sent)
	if err != nil {
		return err
	}
	if ack.Duplicate {
		if err := w.compare(ctx, fresh[0], ack.Sequence); err != nil {
			return err
		}
	}
	fresh[0].record, fresh[0].duplicate = ack.Sequence, ack.Duplicate
	return nil
}

// hashHeader has the hash of a record's content, in hexadecimal.
const hashHeader = "Tidings-Hash"

func (w *writing) message(p *part) *nats.Msg {
	return &nats.Msg{
		Subject: subject(w.topic.Name, keyToken(p.key)),
		Header: nats.Header{
			jetstream.MsgIDHeader: []string{p.id},
			hashHeader:            []string{strconv.FormatUint(p.hash, 16)},
		},
		Data: p.data,
	}
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
