package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"example.com/tidings/server/internal/engine"
)

func deadLettersName(subscription string) string { return "tidings-dead-" + subscription }

func deadLetterSubject(s *engine.Subscription, sequence int64) string {
	return deadLetterPrefix(s) + strconv.FormatInt(sequence, 10)
}

func deadLetterPrefix(s *engine.Subscription) string {
	return "tidings.dead." + s.Name + "." + uidToken(s) + "."
}

func (e *Engine) deadLetterStream(s *engine.Subscription) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        deadLettersName(s.Name),
		Description: "Dead letters of the Tidings subscription " + s.Name,
		Subjects:    []string{deadLetterPrefix(s) + "*"},
		MaxBytes:    -1,
		// There is one for each event all the same. JetStream would see to that
		// itself, by a bound of the messages of a subject, but what it removes for
		// this bound may come back, after a crash, once what took its place is
		// deleted.
		Duplicates: minDuplicates,
	}
}

// PutDeadLetters implements engine.Subscriptions.
func (e *Engine) PutDeadLetters(ctx context.Context, s *engine.Subscription, letters []engine.DeadLetter) error {
	return subscriptionDo(ctx, e, s, func(ctx context.Context) error {
		futures := make([]jetstream.PubAckFuture, 0, len(letters))
		for _, letter := range letters {
			future, err := e.writes.publish(&nats.Msg{
				Subject: deadLetterSubject(s, letter.Sequence),
				Header:  nats.Header{jetstream.ExpectedLastSubjSeqHeader: []string{"0"}},
				Data:    letter.Data,
			})
			if err != nil {
				return err
			}
			futures = append(futures, future)
		}
		for i, future := range futures {
			_, err := wait(ctx, future)
			if err = translate(ctx, err); errors.Is(err, engine.ErrSequence) { // There is one.
				err = e.replaceDeadLetter(ctx, s, letters[i])
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// replaceDeadLetter stores a dead letter and deletes the earlier ones of its
// event. Before it returns there may be two.
func (e *Engine) replaceDeadLetter(ctx context.Context, s *engine.Subscription, letter engine.DeadLetter) error {
	subject := deadLetterSubject(s, letter.Sequence)
	future, err := e.writes.publish(&nats.Msg{Subject: subject, Data: letter.Data})
	if err == nil {
		_, err = wait(ctx, future)
	}
	if err != nil {
		return err
	}
	return e.asks.purge(ctx, deadLettersName(s.Name), purge{Subject: subject, Keep: 1})
}

// DeadLetter implements engine.Subscriptions.
func (e *Engine) DeadLetter(ctx context.Context, s *engine.Subscription, sequence int64) (engine.DeadLetter, error) {
	stored, err := subscriptionCall(ctx, e, s, func(ctx context.Context) (*message, error) {
		return e.reads.message(ctx, deadLettersName(s.Name), which{LastOf: deadLetterSubject(s, sequence)})
	})
	if err != nil {
		return engine.DeadLetter{}, err
	}
	return engine.DeadLetter{Sequence: sequence, Data: stored.Data, Place: stored.Sequence}, nil
}

// DeleteDeadLetters implements engine.Subscriptions.
func (e *Engine) DeleteDeadLetters(ctx context.Context, s *engine.Subscription, sequences ...int64) error {
	for _, sequence := range sequences {
		err := subscriptionDo(ctx, e, s, func(ctx context.Context) error {
			return e.asks.purge(ctx, deadLettersName(s.Name), purge{Subject: deadLetterSubject(s, sequence)})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// DeadLetterCount implements engine.Subscriptions.
func (e *Engine) DeadLetterCount(ctx context.Context, s *engine.Subscription) (uint64, error) {
	info, err := subscriptionCall(ctx, e, s, func(ctx context.Context) (*jetstream.StreamInfo, error) {
		return e.reads.info(ctx, deadLettersName(s.Name))
	})
	if err != nil {
		return 0, err
	}
	return info.State.Msgs, nil
}

// ReadDeadLetters implements engine.Subscriptions.
func (e *Engine) ReadDeadLetters(ctx context.Context, s *engine.Subscription, from uint64, each func(engine.DeadLetter) (bool, error)) error {
	stream := deadLettersName(s.Name)
	info, err := subscriptionCall(ctx, e, s, func(ctx context.Context) (*jetstream.StreamInfo, error) {
		return e.reads.info(ctx, stream)
	})
	if err != nil {
		return err
	}
	// Asked for one by one: then the leader says which there are, and none is
	// waited for that is deleted meanwhile.
	for next := max(from, 1); next <= info.State.LastSeq; {
		stored, err := subscriptionCall(ctx, e, s, func(ctx context.Context) (*message, error) {
			return e.reads.message(ctx, stream, which{Sequence: next, NextOf: deadLetterPrefix(s) + "*"})
		})
		if errors.Is(err, engine.ErrRecordNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if stored.Sequence > info.State.LastSeq {
			return nil
		}
		sequence, err := strconv.ParseInt(stored.Subject[strings.LastIndexByte(stored.Subject, '.')+1:], 10, 64)
		if err != nil {
			return &engine.DamageError{Place: fmt.Sprintf("message %d of stream %s", stored.Sequence, stream), Cause: err}
		}
		more, err := each(engine.DeadLetter{Sequence: sequence, Data: stored.Data, Place: stored.Sequence})
		if err != nil || !more {
			return err
		}
		next = stored.Sequence + 1
	}
	return nil
}
