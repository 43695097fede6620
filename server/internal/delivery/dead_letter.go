package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/eventlog"
	"example.com/tidings/server/internal/lease"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// deadLetterChanges are dead letters to be stored, and others to be deleted, at
// once.
type deadLetterChanges struct {
	put   []engine.DeadLetter
	died  []lease.DeadLetter // As put has them.
	gone  []int64
	filed []int64 // The events of both.
}

// maxDeadLetters and maxDeadLetterBytes bound the dead letters that are stored at
// once.
const (
	maxDeadLetters     = 1000
	maxDeadLetterBytes = 4 << 20
)

// deadLetterChanges returns what became a dead letter, and the dead letters of
// what was redriven and settled: of either as many as may be stored at once.
func (o *owner) deadLetterChanges() (c deadLetterChanges, err error) {
	size := 0
	for letter := range o.machine.Dying() {
		if len(c.put) >= maxDeadLetters || size >= maxDeadLetterBytes {
			return c, nil
		}
		c.filed = append(c.filed, letter.Sequence)
		entry, err := o.deadLetterEntry(letter)
		if errors.Is(err, engine.ErrRecordNotFound) {
			o.log.Error("retention removed an event before it could become a dead letter", "sequence", letter.Sequence)
			continue
		}
		if err != nil {
			return c, err
		}
		c.put, c.died = append(c.put, entry), append(c.died, letter)
		size += len(entry.Data)
	}
	for sequence := range o.machine.Done() {
		if len(c.gone) >= maxDeadLetters {
			break
		}
		c.gone = append(c.gone, sequence)
		c.filed = append(c.filed, sequence)
	}
	return c, nil
}

// fileDeadLetters stores what became a dead letter and deletes the dead letters
// of what was redriven and settled, where the engine doesn't do that with the
// journal. The journal has said so already; what isn't done when the server ends,
// the next owner does.
func (o *owner) fileDeadLetters() error {
	if o.hub.engine.Features().OneCommit {
		return nil
	}
	for {
		changes, err := o.deadLetterChanges()
		if err != nil || len(changes.filed) == 0 {
			return err
		}
		if err := o.storeDeadLetters(changes); err != nil {
			return err
		}
		o.tally.bury(changes.died)
		o.machine.Filed(changes.filed...) // Written with what comes next.
	}
}

func (o *owner) storeDeadLetters(c deadLetterChanges) error {
	ctx, cancel := context.WithTimeout(context.Background(), o.hub.writeTimeout)
	defer cancel()
	if err := o.hub.engine.PutDeadLetters(ctx, o.subscription, c.put); err != nil || len(c.gone) == 0 {
		return err
	}
	return o.hub.engine.DeleteDeadLetters(ctx, o.subscription, c.gone...)
}

func (o *owner) deadLetterEntry(letter lease.DeadLetter) (engine.DeadLetter, error) {
	e, err := o.trackedEvent(letter.Sequence)
	if err != nil {
		return engine.DeadLetter{}, err
	}
	content := new(tidingsv1.Event)
	if err := proto.Unmarshal(e.raw, content); err != nil {
		return engine.DeadLetter{}, err
	}
	data, err := proto.Marshal(&storagev1.DeadLetterRecord{
		Format:           deadLetterFormat,
		Event:            content,
		Sequence:         e.sequence,
		Cursor:           eventlog.Cursor(o.subscription.Config.GetTopicUid(), e.after),
		PublishTime:      timestamppb.New(e.publishTime),
		Cause:            letter.Cause,
		Attempts:         int32(letter.Attempts),
		LastNackReason:   letter.Reason,
		FirstAttemptTime: timestamppb.New(time.UnixMilli(letter.FirstAttempt)),
		DeadLetterTime:   timestamppb.New(time.UnixMilli(letter.At)),
		Deliveries:       letter.Deliveries,
		Generation:       o.machine.Generation(),
		SchemaRevision:   e.revision,
		Publisher:        string(e.publisher),
	})
	return engine.DeadLetter{Sequence: letter.Sequence, Data: data}, err
}

// deadLetter returns a dead letter of the subscription and its event, or
// engine.ErrRecordNotFound.
func (o *owner) deadLetter(sequence int64) (*storagev1.DeadLetterRecord, event, error) {
	ctx, cancel := context.WithTimeout(context.Background(), o.hub.writeTimeout)
	defer cancel()
	stored, err := o.hub.engine.DeadLetter(ctx, o.subscription, sequence)
	if err != nil {
		return nil, event{}, err
	}
	letter, err := DecodeDeadLetter(stored.Data)
	if err != nil {
		return nil, event{}, fmt.Errorf("dead letter of event %d: %w", sequence, err)
	}
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(letter.GetEvent())
	if err != nil {
		return nil, event{}, err
	}
	after, ok := eventlog.ParseCursor(o.subscription.Config.GetTopicUid(), letter.GetCursor())
	if !ok {
		return nil, event{}, fmt.Errorf("dead letter of event %d: its cursor is not one", sequence)
	}
	return letter, event{
		recording: recording{
			publishTime: letter.GetPublishTime().AsTime(), revision: letter.GetSchemaRevision(), publisher: []byte(letter.GetPublisher()),
		},
		raw: raw, sequence: sequence, after: after,
	}, nil
}

// DecodeDeadLetter decodes what the engine has of a dead letter.
func DecodeDeadLetter(data []byte) (*storagev1.DeadLetterRecord, error) {
	letter := new(storagev1.DeadLetterRecord)
	if err := proto.Unmarshal(data, letter); err != nil {
		return nil, err
	}
	if letter.GetFormat() != deadLetterFormat {
		return nil, fmt.Errorf("form %d is not known: a later release wrote it", letter.GetFormat())
	}
	return letter, nil
}

// deadLetterFormat is the form of dead letters that this release writes.
const deadLetterFormat = 1
