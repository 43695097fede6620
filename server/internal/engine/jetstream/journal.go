package jetstream

import (
	"context"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"example.com/tidings/server/internal/engine"
)

// journal is the journal of a subscription.
type journal struct {
	engine       *Engine
	subscription *engine.Subscription
	last         uint64 // The sequence of the last entry known.
}

func journalName(subscription string) string { return "tidings-subscription-" + subscription }

// journalSubject differs from those of earlier and later subscriptions of the
// same name, so that what a late writer writes goes nowhere.
func journalSubject(s *engine.Subscription) string {
	return "tidings.subscription." + s.Name + "." + uidToken(s)
}

func uidToken(s *engine.Subscription) string { return strconv.FormatUint(s.Config.GetUid(), 16) }

func (e *Engine) journalStream(s *engine.Subscription) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:               journalName(s.Name),
		Description:        "Journal of the Tidings subscription " + s.Name,
		Subjects:           []string{journalSubject(s)},
		AllowAtomicPublish: true,
		Duplicates:         minDuplicates,
	}
}

// Journal implements engine.Subscriptions.
func (e *Engine) Journal(s *engine.Subscription) engine.Journal {
	return &journal{engine: e, subscription: s}
}

func (j *journal) info(ctx context.Context) (*jetstream.StreamInfo, error) {
	return subscriptionCall(ctx, j.engine, j.subscription, func(ctx context.Context) (*jetstream.StreamInfo, error) {
		return j.engine.reads.info(ctx, journalName(j.subscription.Name))
	})
}

// Replay implements engine.Journal. It takes as long as entries come.
func (j *journal) Replay(ctx context.Context, each func(entry []byte) error) error {
	info, err := j.info(ctx)
	if err != nil {
		return err
	}
	last := info.State.LastSeq
	if last <= j.last || info.State.Msgs == 0 {
		j.last = max(last, j.last)
		return nil
	}
	r := &reader{
		stream: journalName(j.subscription.Name),
		gone:   j.engine.subscriptions.whenGone(j.subscription),
		fail: func(ctx context.Context, err error) error {
			return j.engine.subscriptionError(ctx, j.subscription, err)
		},
		next: j.last + 1,
	}
	if err := j.engine.read(ctx, r); err != nil {
		return err
	}
	defer r.Close()
	for j.last < last {
		entry, metadata, err := r.patientNext(ctx)
		if err != nil {
			return err
		}
		if err := each(entry.Data); err != nil {
			return fmt.Errorf("entry %d of the journal of subscription %s: %w", metadata.Sequence.Stream, j.subscription.Name, err)
		}
		j.last = metadata.Sequence.Stream
	}
	return nil
}

// Append implements engine.Journal.
func (j *journal) Append(ctx context.Context, entries [][]byte, letters []engine.DeadLetter, gone []int64) error {
	if len(letters)+len(gone) > 0 {
		return fmt.Errorf("%w: dead letters in a journal", engine.ErrUnsupported)
	}
	return subscriptionDo(ctx, j.engine, j.subscription, func(ctx context.Context) error { return j.append(ctx, entries) })
}

func (j *journal) append(ctx context.Context, entries [][]byte) error {
	messages := make([]*nats.Msg, len(entries))
	for i, entry := range entries {
		messages[i] = &nats.Msg{Subject: journalSubject(j.subscription), Data: entry}
	}
	messages[0].Header = nats.Header{jetstream.ExpectedLastSeqHeader: []string{strconv.FormatUint(j.last, 10)}}
	if len(messages) > 1 {
		last, err := j.engine.publishAtomic(ctx, journalName(j.subscription.Name), messages)
		if err == nil {
			j.last = last
		}
		return err
	}
	future, err := j.engine.writes.publish(messages[0])
	if err != nil {
		return err
	}
	ack, err := j.engine.acknowledged(ctx, journalName(j.subscription.Name), future)
	if err == nil {
		j.last = ack.Sequence
	}
	return err
}

// Check implements engine.Journal.
func (j *journal) Check(ctx context.Context) error {
	info, err := j.info(ctx)
	if err != nil {
		return err
	}
	if last := info.State.LastSeq; last != j.last {
		return fmt.Errorf("%w: the journal of subscription %s is at %d, not at %d", engine.ErrSequence, j.subscription.Name, last, j.last)
	}
	return nil
}

// Compact implements engine.Journal.
func (j *journal) Compact(ctx context.Context, entries [][]byte) error {
	return subscriptionDo(ctx, j.engine, j.subscription, func(ctx context.Context) error {
		if err := j.append(ctx, entries); err != nil {
			return err
		}
		return j.engine.asks.purge(ctx, journalName(j.subscription.Name), purge{Before: j.last - uint64(len(entries)) + 1})
	})
}
