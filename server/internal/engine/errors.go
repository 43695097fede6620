package engine

import (
	"errors"
	"fmt"
	"slices"
)

// What the errors of an engine wrap.
var (
	// ErrUnavailable: the storage didn't answer, or can't just now. Whether a
	// change took effect isn't known.
	ErrUnavailable = errors.New("the storage is unavailable")
	// ErrFull: a limit of the storage is reached. Nothing was stored.
	ErrFull = errors.New("the storage is full")
	// ErrDamaged: what was asked for is damaged. See DamageError.
	ErrDamaged = errors.New("the storage is damaged")
	// ErrTopicNotFound: there is no such topic.
	ErrTopicNotFound = errors.New("the topic doesn't exist")
	// ErrTopicExists: there is such a topic.
	ErrTopicExists = errors.New("the topic exists")
	// ErrSubscriptionNotFound: there is no such subscription.
	ErrSubscriptionNotFound = errors.New("the subscription doesn't exist")
	// ErrSubscriptionExists: there is such a subscription.
	ErrSubscriptionExists = errors.New("the subscription exists")
	// ErrRevision: the topic or subscription has another revision, or there are
	// more schemas.
	ErrRevision = errors.New("it has been changed")
	// ErrRecordNotFound: there is no event with this sequence, or no dead letter
	// of it.
	ErrRecordNotFound = errors.New("the record doesn't exist")
	// ErrConflict: an identity is taken by other content. See ConflictError.
	ErrConflict = errors.New("an identity is taken")
	// ErrSequence: the last sequence isn't the expected one. See SequenceError.
	ErrSequence = errors.New("the last sequence is another")
	// ErrBehind: what the append is behind isn't stored, or not yet. Nothing was
	// stored.
	ErrBehind = errors.New("what it is behind is not stored")
	// ErrUnsupported: this engine can't do it. See Features.
	ErrUnsupported = errors.New("the storage can't do that")
	// ErrTooLarge: it is larger than MaxRecordBytes.
	ErrTooLarge = errors.New("the record is too large")
	// ErrNobody: no server serves the subscription.
	ErrNobody = errors.New("no server answers")
)

// known are the errors above.
var known = []error{
	ErrUnavailable, ErrFull, ErrDamaged, ErrTopicNotFound, ErrTopicExists, ErrSubscriptionNotFound, ErrSubscriptionExists,
	ErrRevision, ErrRecordNotFound, ErrConflict, ErrSequence, ErrBehind, ErrUnsupported, ErrTooLarge, ErrNobody,
}

// IsKnown reports whether an error wraps one of this package's.
func IsKnown(err error) bool {
	return slices.ContainsFunc(known, func(one error) bool { return errors.Is(err, one) })
}

// ConflictError says that the identity of an event, or of the request, is taken
// by content with another hash. Nothing was stored. Who knows that the content
// says the same after all sends the batch again with Hash in its place.
type ConflictError struct {
	// Event is the index of the event in the batch; 0 where it is the request.
	Event int
	// Sequence is that of the event which has the identity, or of the first of
	// the request's.
	Sequence int64
	// Hash is that of the stored content.
	Hash uint64
	// Others are those of later events of the batch, as far as the engine looked.
	// They have no others.
	Others []ConflictError
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("%v: sequence %d has other content", ErrConflict, e.Sequence)
}

// Unwrap returns ErrConflict.
func (e *ConflictError) Unwrap() error { return ErrConflict }

// SequenceError says that an expectation doesn't hold. Nothing was stored.
type SequenceError struct {
	// Expectation is the index of the first that doesn't hold.
	Expectation int
	// Actual is the last sequence, as the expectation counts it: where that is that
	// there is an event, or none, only what there is now. 0: there is none.
	Actual int64
}

func (e *SequenceError) Error() string {
	return fmt.Sprintf("%v: %d", ErrSequence, e.Actual)
}

// Unwrap returns ErrSequence.
func (e *SequenceError) Unwrap() error { return ErrSequence }

// DamageError says what is damaged.
type DamageError struct {
	// Topic is the name of the topic, or empty.
	Topic string
	// Place says what is damaged: a file, an event, a journal.
	Place string
	// Cause says how it was noticed.
	Cause error
}

func (e *DamageError) Error() string {
	if e.Topic == "" {
		return fmt.Sprintf("%v: %s: %v", ErrDamaged, e.Place, e.Cause)
	}
	return fmt.Sprintf("%v: topic %s: %s: %v", ErrDamaged, e.Topic, e.Place, e.Cause)
}

// Unwrap returns ErrDamaged and the cause.
func (e *DamageError) Unwrap() []error { return []error{ErrDamaged, e.Cause} }
