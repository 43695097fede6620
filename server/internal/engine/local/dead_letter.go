package local

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"example.com/tidings/server/internal/engine"
)

// The value of a dead letter is the sequence of its event, and then the letter.
const letterHeader = 8

// letterCount is what is known of the dead letters of a subscription.
type letterCount struct {
	// count is their number, and place the last that was given to one.
	count, place int64
}

func (c letterCount) encode() []byte {
	return binary.BigEndian.AppendUint64(encodeNumber(c.count), uint64(c.place))
}

func (e *Engine) lettersFailed(s *subscriber, err error) error {
	if err != nil && s.deleted.Load() { // What was looked for is gone with it.
		return engine.ErrSubscriptionNotFound
	}
	return e.failed(nil, "the dead letters of subscription "+s.name, err)
}

func (e *Engine) letterCount(s *subscriber) (letterCount, error) {
	value, closer, err := e.db.Get(uidKey(kindLetterCount, s.uid))
	if errors.Is(err, pebble.ErrNotFound) {
		return letterCount{}, nil
	}
	if err != nil {
		return letterCount{}, err
	}
	defer closer.Close() //nolint:errcheck // Nothing was written.
	return parseLetterCount(value)
}

func parseLetterCount(value []byte) (letterCount, error) {
	if len(value) != 16 {
		return letterCount{}, errSize
	}
	return letterCount{int64(binary.BigEndian.Uint64(value)), int64(binary.BigEndian.Uint64(value[8:]))}, nil
}

// placeOf returns the place of the dead letter of an event, or 0.
func (e *Engine) placeOf(s *subscriber, sequence int64) (int64, error) {
	value, closer, err := e.db.Get(numberKey(kindLetterPlace, s.uid, sequence))
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer closer.Close() //nolint:errcheck // Nothing was written.
	return parseNumber(value)
}

// letterAt returns the dead letter at a place, or engine.ErrRecordNotFound.
func (e *Engine) letterAt(s *subscriber, place int64) (engine.DeadLetter, error) {
	value, closer, err := e.db.Get(numberKey(kindLetter, s.uid, place))
	if errors.Is(err, pebble.ErrNotFound) {
		return engine.DeadLetter{}, engine.ErrRecordNotFound
	}
	if err != nil {
		return engine.DeadLetter{}, err
	}
	defer closer.Close() //nolint:errcheck // Nothing was written.
	return parseLetter(place, value)
}

func parseLetter(place int64, value []byte) (engine.DeadLetter, error) {
	if len(value) < letterHeader {
		return engine.DeadLetter{}, errSize
	}
	return engine.DeadLetter{
		Sequence: int64(binary.BigEndian.Uint64(value)),
		Data:     bytes.Clone(value[letterHeader:]),
		Place:    uint64(place),
	}, nil
}

// changeLetters puts dead letters and deletes those of other events. It belongs
// to prepare.
func (e *Engine) changeLetters(batch *pebble.Batch, s *subscriber, letters []engine.DeadLetter, gone []int64) error {
	counts, err := e.letterCount(s)
	if err != nil {
		return e.lettersFailed(s, err)
	}
	places := make(map[int64]int64) // What this change has done with those of events: 0 where there is none.
	remove := func(sequence int64) error {
		place, done := places[sequence]
		if !done {
			if place, err = e.placeOf(s, sequence); err != nil {
				return e.lettersFailed(s, err)
			}
		}
		if place == 0 {
			return nil
		}
		counts.count--
		places[sequence] = 0
		return errors.Join(
			batch.Delete(numberKey(kindLetter, s.uid, place), nil),
			batch.Delete(numberKey(kindLetterPlace, s.uid, sequence), nil))
	}
	for _, letter := range letters {
		if same, err := e.hasLetter(s, letter); err != nil || same {
			if err != nil {
				return err
			}
			continue
		}
		if err := remove(letter.Sequence); err != nil {
			return err
		}
		counts.count++
		counts.place++
		places[letter.Sequence] = counts.place
		value := append(encodeNumber(letter.Sequence), letter.Data...)
		if err := errors.Join(
			batch.Set(numberKey(kindLetter, s.uid, counts.place), value, nil),
			batch.Set(numberKey(kindLetterPlace, s.uid, letter.Sequence), encodeNumber(counts.place), nil)); err != nil {
			return err
		}
	}
	for _, sequence := range gone {
		if err := remove(sequence); err != nil {
			return err
		}
	}
	if len(places) == 0 {
		return nil
	}
	return batch.Set(uidKey(kindLetterCount, s.uid), counts.encode(), nil)
}

// hasLetter reports whether a dead letter is stored as it is.
func (e *Engine) hasLetter(s *subscriber, letter engine.DeadLetter) (bool, error) {
	place, err := e.placeOf(s, letter.Sequence)
	if err != nil || place == 0 {
		return false, e.lettersFailed(s, err)
	}
	stored, err := e.letterAt(s, place)
	if err != nil {
		return false, e.lettersFailed(s, lost(err, letter.Sequence))
	}
	return bytes.Equal(stored.Data, letter.Data), nil
}

// lost turns engine.ErrRecordNotFound into a damage: something says that the
// dead letter is there.
func lost(err error, sequence int64) error {
	if errors.Is(err, engine.ErrRecordNotFound) {
		return broken(fmt.Errorf("the one of sequence %d: %w", sequence, errGap))
	}
	return err
}

// writeLetters is changeLetters, alone.
func (e *Engine) writeLetters(ctx context.Context, s *engine.Subscription, letters []engine.DeadLetter, gone []int64) error {
	state, err := e.subscriptions.of(s)
	if err != nil {
		return err
	}
	return e.committer.do(ctx, func(batch *pebble.Batch) error {
		if state.deleted.Load() {
			return engine.ErrSubscriptionNotFound
		}
		return e.changeLetters(batch, state, letters, gone)
	}, nil)
}

// PutDeadLetters stores dead letters, each in the place of an earlier one of the
// same event.
func (e *Engine) PutDeadLetters(ctx context.Context, s *engine.Subscription, letters []engine.DeadLetter) error {
	return e.writeLetters(ctx, s, letters, nil)
}

// DeleteDeadLetters deletes the dead letters of events, where there are some.
func (e *Engine) DeleteDeadLetters(ctx context.Context, s *engine.Subscription, sequences ...int64) error {
	return e.writeLetters(ctx, s, nil, sequences)
}

// DeadLetter returns the dead letter of an event, or engine.ErrRecordNotFound.
func (e *Engine) DeadLetter(_ context.Context, s *engine.Subscription, sequence int64) (engine.DeadLetter, error) {
	state, err := e.subscriptions.of(s)
	if err != nil {
		return engine.DeadLetter{}, err
	}
	for {
		place, err := e.placeOf(state, sequence)
		if err != nil {
			return engine.DeadLetter{}, e.lettersFailed(state, err)
		}
		if place == 0 {
			return engine.DeadLetter{}, engine.ErrRecordNotFound
		}
		letter, err := e.letterAt(state, place)
		if !errors.Is(err, engine.ErrRecordNotFound) {
			return letter, e.lettersFailed(state, err)
		}
		// It was moved or deleted meanwhile.
		if now, err := e.placeOf(state, sequence); err == nil && now == place {
			return engine.DeadLetter{}, e.lettersFailed(state, lost(engine.ErrRecordNotFound, sequence))
		}
	}
}

// DeadLetterCount is the number of dead letters.
func (e *Engine) DeadLetterCount(_ context.Context, s *engine.Subscription) (uint64, error) {
	state, err := e.subscriptions.of(s)
	if err != nil {
		return 0, err
	}
	counts, err := e.letterCount(state)
	return uint64(counts.count), e.lettersFailed(state, err)
}

// ReadDeadLetters calls each with the dead letters from a place among them on.
func (e *Engine) ReadDeadLetters(ctx context.Context, s *engine.Subscription, from uint64, each func(engine.DeadLetter) (more bool, err error)) error {
	state, err := e.subscriptions.of(s)
	if err != nil {
		return err
	}
	counts, err := e.letterCount(state)
	if err != nil {
		return e.lettersFailed(state, err)
	}
	for next := int64(from); next <= counts.place; {
		if err := ctx.Err(); err != nil {
			return err
		}
		letters, err := e.letters(state, next, counts.place+1)
		if err != nil {
			return e.lettersFailed(state, err)
		}
		if len(letters) == 0 {
			return nil
		}
		for _, letter := range letters {
			if more, err := each(letter); err != nil || !more {
				return err
			}
		}
		next = int64(letters[len(letters)-1].Place) + 1
	}
	return nil
}

// letters returns some of the dead letters from a place on, below another.
func (e *Engine) letters(s *subscriber, from, below int64) (letters []engine.DeadLetter, err error) {
	iter, err := e.db.NewIter(&pebble.IterOptions{
		LowerBound: numberKey(kindLetter, s.uid, from), UpperBound: numberKey(kindLetter, s.uid, below),
	})
	if err != nil {
		return nil, err
	}
	defer iter.Close() //nolint:errcheck // Error says it.
	size := 0
	for valid := iter.First(); valid && len(letters) < maxChunkRecords && size < maxChunkBytes; valid = iter.Next() {
		letter, err := parseLetter(numberOf(iter.Key()), iter.Value())
		if err != nil {
			return nil, err
		}
		letters = append(letters, letter)
		size += len(letter.Data)
	}
	return letters, iter.Error()
}
