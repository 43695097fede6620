package engine

import (
	"context"
	"errors"
	"time"
)

// Records keeps the events of topics. Those of a batch are stored as one record
// where the engine can.
type Records interface {
	// Start begins an append. Batches of one topic are stored in the order in
	// which they were started, each wholly or not at all; behind, where it isn't
	// nil, is the append of the same caller before this one. Start blocks while
	// too much is under way. It returns ErrTooLarge, ErrUnsupported, ErrUnavailable
	// or the context's error. The batch and its slices belong to the engine until
	// the append has ended.
	//
	// Nothing of the batch is stored, and the append ends with ErrBehind, where the
	// one that it is behind ends with ErrBehind too, or with a *ConflictError after
	// which some of its events may be sent again: of several, in a topic with
	// DEDUPE_EVENT. Batch.Follows adds every other error.
	Start(ctx context.Context, topic *Topic, batch *Batch, behind Append) (Append, error)
	// State returns what a topic holds, or ErrTopicNotFound.
	State(ctx context.Context, topic *Topic) (State, error)
	// Latest returns the sequence of the last event that was stored, or 0 where
	// there never was one. Where retention has removed it, it may be the lowest
	// that it can have had. It returns ErrTopicNotFound.
	Latest(ctx context.Context, topic *Topic) (int64, error)
	// FirstAt returns the lowest sequence of an event that was stored at a time
	// or later, State.End where there is none, or ErrTopicNotFound.
	FirstAt(ctx context.Context, topic *Topic, at time.Time) (int64, error)
	// Count returns how many events of a topic have a sequence or a higher one,
	// and whether that is exact or an estimate. It returns ErrTopicNotFound.
	Count(ctx context.Context, topic *Topic, from int64) (events int64, exact bool, err error)
	// Get returns the record that holds the event with a sequence,
	// ErrRecordNotFound, ErrTopicNotFound or a *DamageError.
	Get(ctx context.Context, topic *Topic, sequence int64) (Record, error)
	// Read opens a reader. The caller closes it. It returns ErrTopicNotFound or
	// ErrUnsupported.
	Read(ctx context.Context, topic *Topic, from ReadFrom) (Reader, error)
}

// Batch is the events of one request. They are stored together or not at all.
type Batch struct {
	// Data is the record that the events make.
	Data []byte
	// Head is the number of bytes of Data before the first event.
	Head int
	// Events are at most eventlog.MaxEvents: what is after Head, one after the
	// other. In a topic with DEDUPE_EVENT at most Features.MaxEach, no two with
	// the same ID. Where there are none, nothing is stored, and only what is
	// expected is looked at.
	Events []BatchEvent
	// ID and Hash are those of the request, unless the topic has DEDUPE_EVENT: a
	// batch with an ID that was stored within the topic's window isn't stored
	// again.
	ID   ID
	Hash uint64
	// Expect is what has to be true for anything to be stored. It isn't looked
	// at where every event is stored already.
	Expect []Expectation
	// Follows says that nothing is stored unless the append that this one is
	// behind, of whichever topic, is known to be stored. Waiting for it is then
	// bounded by the context alone: see Append.
	Follows bool
}

// HoldsBack reports whether an append that ends with an error, in a topic that
// recognises events one by one or not, keeps a batch behind it from being stored.
func (b *Batch) HoldsBack(err error, byEvent, follows bool) bool {
	switch {
	case err == nil:
		return false
	case follows, errors.Is(err, ErrBehind):
		return true
	default:
		return errors.Is(err, ErrConflict) && byEvent && len(b.Events) > 1
	}
}

// Bytes returns the part of the data that is the event with an index.
func (b *Batch) Bytes(data []byte, index int) []byte {
	begin := b.Head
	if index > 0 {
		begin = b.Events[index-1].End
	}
	return data[begin:b.Events[index].End]
}

// BatchEvent is an event of a batch.
type BatchEvent struct {
	// End is where it ends in Batch.Data.
	End int
	// Key is its partition key. Empty: none.
	Key string
	// ID and Hash are the event's, in a topic with DEDUPE_EVENT: an event with an
	// ID that was stored within the topic's window isn't stored again.
	ID   ID
	Hash uint64
}

// ID is what a repetition is recognised by.
type ID [16]byte

// Expectation is something that a batch expects of a topic.
type Expectation struct {
	// Key is the partition key that it is about. Empty: the whole topic.
	Key string
	// Last is the sequence of the last event. A topic remembers it when retention
	// has removed the event; a key whose events are all removed has none. 0: there
	// is no event now, whatever there was.
	Last int64
	// Some says that there is an event now, whichever; Last is then 0.
	Some bool
}

// Met reports whether the expectation holds where the last event has a sequence,
// or where it is 0 and there is none.
func (e *Expectation) Met(last int64) bool {
	if e.Some {
		return last != 0
	}
	return last == e.Last
}

// Append is an append under way. It ends whether or not somebody waits.
type Append interface {
	// Wait waits until the append has ended, or returns the context's error. It
	// returns a *ConflictError, a *SequenceError, ErrBehind, ErrTopicNotFound,
	// ErrFull, a *DamageError or ErrUnavailable. It may be called again.
	Wait(ctx context.Context) (Appended, error)
}

// Appended says where the events of a batch are.
type Appended struct {
	// First is the sequence of the first event, and the others follow it without
	// a gap, unless the topic has DEDUPE_EVENT.
	First int64
	// Duplicate says that an earlier append stored them.
	Duplicate bool
	// Each says so of each event in a topic with DEDUPE_EVENT, and is nil in any
	// other.
	Each []Place
}

// Place says where an event is.
type Place struct {
	Sequence  int64
	Duplicate bool
}

// Of returns the place of the event with an index.
func (a Appended) Of(index int) Place {
	if a.Each != nil {
		return a.Each[index]
	}
	return Place{a.First + int64(index), a.Duplicate}
}

// Record is a stored record.
type Record struct {
	// First is the sequence of its first event; the others follow it. Last is
	// the highest sequence that is the record's: the next one begins after it.
	First, Last int64
	// Time is when it was stored. It never decreases within a topic.
	Time time.Time
	// Data is what was appended.
	Data []byte
	// More says that there were others after it when it was read. Only Reader
	// sets it.
	More bool
}

// State is what a topic holds.
type State struct {
	// First is the lowest sequence that an event of the topic can have now. It is
	// End where the topic is empty.
	First int64
	// End is the sequence that the next event will have at least.
	End int64
	// Bytes is about what the records take.
	Bytes int64
	// LastTime is when the last record was stored, or zero.
	LastTime time.Time
	// Holes are the sequences that no event has, or ever will have, because what
	// they were given to was lost, in their order.
	Holes []Hole
}

// Last is the highest sequence that an event has, or that retention has removed.
// What is above it, below End, is a hole.
func (s State) Last() int64 {
	if n := len(s.Holes); n > 0 && s.Holes[n-1].Next == s.End {
		return s.Holes[n-1].First - 1
	}
	return s.End - 1
}

// Hole is sequences from First to before Next.
type Hole struct{ First, Next int64 }

// Holds reports whether a position, which is the last sequence that somebody has
// seen, is one that there has been: it isn't in the future, or in one that was
// lost.
func (s State) Holds(position int64) bool {
	if position >= s.End {
		return false
	}
	for _, hole := range s.Holes {
		if position >= hole.First && position < hole.Next-1 {
			return false
		}
	}
	return true
}

// ReadFrom says what to read.
type ReadFrom struct {
	// Sequence is that of the first event to read: the first record is the one
	// that holds it, or the next one. Not used where Time is set.
	Sequence int64
	// Time is the time at which the first record was stored, or later.
	Time time.Time
	// Key is the partition key of the events to read, as Features.KeyIndex
	// allows: records without such an event are left out. Where there are no more,
	// a record without Data tells it: nothing of the key is from its First up to
	// its Last. What is before its First, retention may have removed. Not with
	// Time. Empty: every record.
	Key string
}

// Reader reads the records of a topic in their order and then waits for new
// ones. It is for one goroutine.
type Reader interface {
	// More reports whether records were there when the reader was opened.
	More() bool
	// Next waits for the next record. It returns ErrTopicNotFound if the topic is
	// gone, a *DamageError, ErrUnavailable, or the context's error, after which
	// it may be called again.
	Next(ctx context.Context) (Record, error)
	// Close ends the reader.
	Close()
}
