package engine

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func deadLettersName(subscription string) string { return "tidings-dead-" + subscription }

func deadLetterSubject(s *Subscription, sequence int64) string {
	return deadLetterPrefix(s) + strconv.FormatInt(sequence, 10)
}

func deadLetterPrefix(s *Subscription) string {
	return "tidings.dead." + s.Name + "." + uidToken(s) + "."
}

func (e *Engine) deadLetterStream(s *Subscription) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        deadLettersName(s.Name),
		Description: "Dead letters of the Tidings subscription " + s.Name,
		Subjects:    []string{deadLetterPrefix(s) + "*"},
		Storage:     jetstream.FileStorage,
		Retention:   jetstream.LimitsPolicy,
		Discard:     jetstream.DiscardOld,
		Replicas:    e.replicas,
		MaxBytes:    -1,
		MaxMsgs:     -1,
		// There is one for each event all the same. JetStream would see to that
		// itself, but what it removes for this bound may come back, after a
		// crash, once what took its place is deleted.
		MaxMsgsPerSubject: -1,
		MaxMsgSize:        -1,
		MaxConsumers:      -1,
		Duplicates:        minDuplicates,
	}
}

// DeadLetterEntry is the dead letter of an event.
type DeadLetterEntry struct {
	// Sequence is that of the event.
	Sequence int64
	// Data is the dead letter.
	Data []byte
}

// PutDeadLetters stores dead letters, each in place of an earlier one of the
// same event. Repeating it changes nothing.
func (e *Engine) PutDeadLetters(ctx context.Context, s *Subscription, entries []DeadLetterEntry) error {
	if len(entries) == 0 {
		return nil
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	futures := make([]jetstream.PubAckFuture, 0, len(entries))
	for _, entry := range entries {
		message := &nats.Msg{Subject: deadLetterSubject(s, entry.Sequence), Data: entry.Data, Header: nats.Header{}}
		message.Header.Set(jetstream.ExpectedLastSubjSeqHeader, "0")
		future, err := e.js.PublishMsgAsync(message, jetstream.WithStallWait(callTimeout))
		if err != nil {
			return subscriptionError(err)
		}
		futures = append(futures, future)
	}
	for i, future := range futures {
		select {
		case <-future.Ok():
		case err := <-future.Err():
			if err = subscriptionError(err); errors.Is(err, ErrSequence) { // There is one.
				err = e.replaceDeadLetter(ctx, s, entries[i])
			}
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return e.syncer.wait(ctx)
}

// replaceDeadLetter stores a dead letter and deletes the earlier ones of its
// event. Before it returns there may be two.
func (e *Engine) replaceDeadLetter(ctx context.Context, s *Subscription, entry DeadLetterEntry) error {
	subject := deadLetterSubject(s, entry.Sequence)
	if _, err := e.js.PublishMsg(ctx, &nats.Msg{Subject: subject, Data: entry.Data}); err != nil {
		return subscriptionError(err)
	}
	stream, err := e.js.Stream(ctx, deadLettersName(s.Name))
	if err == nil {
		err = stream.Purge(ctx, jetstream.WithPurgeSubject(subject), jetstream.WithPurgeKeep(1))
	}
	return subscriptionError(err)
}

// DeadLetter returns the dead letter of an event, or ErrRecordNotFound. The
// record's sequence is its place among the dead letters.
func (e *Engine) DeadLetter(ctx context.Context, s *Subscription, sequence int64) (Record, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	stream, err := e.js.Stream(ctx, deadLettersName(s.Name))
	if err != nil {
		return Record{}, subscriptionError(err)
	}
	message, err := stream.GetLastMsgForSubject(ctx, deadLetterSubject(s, sequence))
	if err != nil {
		return Record{}, subscriptionError(err)
	}
	return Record{Sequence: message.Sequence, Time: message.Time, Data: message.Data}, nil
}

// DeleteDeadLetter deletes the dead letter of an event, where there is one.
func (e *Engine) DeleteDeadLetter(ctx context.Context, s *Subscription, sequence int64) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	stream, err := e.js.Stream(ctx, deadLettersName(s.Name))
	if err != nil {
		return subscriptionError(err)
	}
	err = stream.Purge(ctx, jetstream.WithPurgeSubject(deadLetterSubject(s, sequence)))
	return subscriptionError(err)
}

// DeadLetterCount is the number of dead letters.
func (e *Engine) DeadLetterCount(ctx context.Context, s *Subscription) (uint64, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	stream, err := e.js.Stream(ctx, deadLettersName(s.Name))
	if err != nil {
		return 0, subscriptionError(err)
	}
	return stream.CachedInfo().State.Msgs, nil
}

// ReadDeadLetters calls each with the dead letters from a place among them on,
// in the order in which they were stored, up to the last that is there when it
// begins or until each returns false. Pending is set.
func (e *Engine) ReadDeadLetters(ctx context.Context, s *Subscription, from uint64, each func(Record) (bool, error)) error {
	reader, err := e.readStream(ctx, deadLettersName(s.Name), max(from, 1), time.Time{})
	if err != nil {
		return subscriptionError(err)
	}
	defer reader.Close()
	for left := reader.Pending(); left > 0; {
		record, err := reader.Next(ctx)
		if err != nil {
			return subscriptionError(err)
		}
		// One that was removed meanwhile doesn't come.
		left = min(left-1, record.Pending)
		more, err := each(record)
		if err != nil || !more {
			return err
		}
	}
	return nil
}
