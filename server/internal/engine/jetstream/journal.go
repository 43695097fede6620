package engine

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Journal is what is written of a subscription. An entry is stored only if it
// follows the last one that its writer knows, so that of two writers only one
// goes on. It is for one goroutine.
type Journal struct {
	engine       *Engine
	subscription *Subscription
	last         uint64 // The sequence of the last entry known.
}

func journalName(subscription string) string { return "tidings-subscription-" + subscription }

// journalSubject differs from those of earlier and later subscriptions of the
// same name, so that what a late writer writes goes nowhere.
func journalSubject(s *Subscription) string {
	return "tidings.subscription." + s.Name + "." + uidToken(s)
}

func uidToken(s *Subscription) string { return strconv.FormatUint(s.Config.GetUid(), 16) }

func (e *Engine) journalStream(s *Subscription) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:               journalName(s.Name),
		Description:        "Journal of the Tidings subscription " + s.Name,
		Subjects:           []string{journalSubject(s)},
		Storage:            jetstream.FileStorage,
		Retention:          jetstream.LimitsPolicy,
		Discard:            jetstream.DiscardOld,
		Replicas:           e.replicas,
		MaxBytes:           -1,
		MaxMsgs:            -1,
		MaxMsgsPerSubject:  -1,
		MaxMsgSize:         -1,
		MaxConsumers:       -1,
		AllowAtomicPublish: true,
		Duplicates:         minDuplicates,
	}
}

// Journal opens the journal of a subscription.
func (e *Engine) Journal(s *Subscription) *Journal {
	return &Journal{engine: e, subscription: s}
}

// Replay calls each with every entry that is there and hasn't been seen. It
// returns ErrSubscriptionNotFound, ErrUnavailable or what each does.
func (j *Journal) Replay(ctx context.Context, each func(entry []byte) error) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	stream, err := j.engine.js.Stream(ctx, journalName(j.subscription.Name))
	if err != nil {
		return subscriptionError(err)
	}
	last := stream.CachedInfo().State.LastSeq
	if last <= j.last || stream.CachedInfo().State.Msgs == 0 {
		j.last = max(last, j.last)
		return nil
	}
	reader, err := j.engine.readStream(ctx, journalName(j.subscription.Name), j.last+1, time.Time{})
	if err != nil {
		return subscriptionError(err)
	}
	defer reader.Close()
	for j.last < last {
		entry, err := reader.Next(ctx)
		if err != nil {
			return subscriptionError(err)
		}
		if err := each(entry.Data); err != nil {
			return fmt.Errorf("entry %d of the journal of subscription %s: %w", entry.Sequence, j.subscription.Name, err)
		}
		j.last = entry.Sequence
	}
	return nil
}

// Append stores 1 to MaxAtomic entries, together or not at all, as durably as
// the engine promises. It returns ErrSequence where another server has written
// since the last Replay, ErrSubscriptionNotFound, ErrFull, or ErrUnavailable or
// the context's error, after which whether the entries are stored isn't known.
func (j *Journal) Append(ctx context.Context, entries ...[]byte) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if len(entries) > 1 {
		return j.appendAtomic(ctx, entries)
	}
	ack, err := j.engine.js.PublishMsg(ctx, j.message(entries[0], true))
	if err != nil {
		return subscriptionError(err)
	}
	j.last = ack.Sequence
	return j.engine.syncer.wait(ctx)
}

// Check returns ErrSequence where another server has written since the last
// entry that this one knows, ErrSubscriptionNotFound or ErrUnavailable.
func (j *Journal) Check(ctx context.Context) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	stream, err := j.engine.js.Stream(ctx, journalName(j.subscription.Name))
	if err != nil {
		return subscriptionError(err)
	}
	if last := stream.CachedInfo().State.LastSeq; last != j.last {
		return fmt.Errorf("%w: the journal of subscription %s is at %d, not at %d", ErrSequence, j.subscription.Name, last, j.last)
	}
	return nil
}

func (j *Journal) message(entry []byte, follows bool) *nats.Msg {
	message := &nats.Msg{Subject: journalSubject(j.subscription), Header: nats.Header{}, Data: entry}
	if follows {
		message.Header[jetstream.ExpectedLastSeqHeader] = []string{strconv.FormatUint(j.last, 10)}
	}
	return message
}

// Compact stores entries, at most MaxAtomic, together or not at all, and
// removes all that were before them. Its errors are Append's. Where it fails
// after the entries are stored, the older ones stay until the next time.
func (j *Journal) Compact(ctx context.Context, entries [][]byte) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if err := j.Append(ctx, entries...); err != nil {
		return err
	}
	stream, err := j.engine.js.Stream(ctx, journalName(j.subscription.Name))
	if err == nil {
		err = stream.Purge(ctx, jetstream.WithPurgeSequence(j.last-uint64(len(entries))+1))
	}
	return subscriptionError(err)
}

func (j *Journal) appendAtomic(ctx context.Context, entries [][]byte) error {
	messages := make([]*nats.Msg, len(entries))
	for i, entry := range entries {
		messages[i] = j.message(entry, i == 0)
	}
	last, err := j.engine.publishAtomic(ctx, messages)
	if last > 0 {
		j.last = last
	}
	return subscriptionError(err)
}

// subscriptionError is translate for the streams of a subscription.
func subscriptionError(err error) error {
	err = translate(err)
	if errors.Is(err, ErrTopicNotFound) {
		return fmt.Errorf("%w: %w", ErrSubscriptionNotFound, err)
	}
	return err
}
