package engine

import (
	"context"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func deadLettersName(subscription string) string { return "tidings-dead-" + subscription }

func deadLetterSubject(subscription string, sequence int64) string {
	return "tidings.dead." + subscription + "." + strconv.FormatInt(sequence, 10)
}

func (e *Engine) deadLetterStream(s *Subscription) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        deadLettersName(s.Name),
		Description: "Dead letters of the Tidings subscription " + s.Name,
		Subjects:    []string{"tidings.dead." + s.Name + ".*"},
		Storage:     jetstream.FileStorage,
		Retention:   jetstream.LimitsPolicy,
		Discard:     jetstream.DiscardOld,
		Replicas:    e.replicas,
		MaxBytes:    -1,
		MaxMsgs:     -1,
		// One for each event, however often it is stored.
		MaxMsgsPerSubject: 1,
		MaxMsgSize:        -1,
		MaxConsumers:      -1,
		Duplicates:        minDuplicates,
	}
}

// PutDeadLetter stores the dead letter of an event, in place of an earlier one
// of the same event. Repeating it changes nothing.
func (e *Engine) PutDeadLetter(ctx context.Context, s *Subscription, sequence int64, data []byte) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	_, err := e.js.PublishMsg(ctx, &nats.Msg{Subject: deadLetterSubject(s.Name, sequence), Data: data})
	if err != nil {
		return subscriptionError(err)
	}
	return e.syncer.wait(ctx)
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
	message, err := stream.GetLastMsgForSubject(ctx, deadLetterSubject(s.Name, sequence))
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
	err = stream.Purge(ctx, jetstream.WithPurgeSubject(deadLetterSubject(s.Name, sequence)))
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
