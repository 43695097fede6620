package jetstream

import (
	"context"
	"errors"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"example.com/tidings/server/internal/engine"
)

// addExpectation makes JetStream check what the batch expects when it stores a
// message, or returns ErrSequence where that can't hold.
func (w *writing) addExpectation(ctx context.Context, message *nats.Msg) error {
	if w.expect == nil {
		return nil
	}
	if w.expect.Some {
		// Nothing but retention can make it untrue, so that it isn't checked again
		// when the message is stored.
		actual, err := w.actual(ctx)
		if err == nil && actual == 0 {
			err = engine.ErrSequence
		}
		return err
	}
	if w.expect.Key != "" {
		record, index := split(w.expect.Last)
		if index != 0 { // Only a repetition passes.
			record = never
		}
		message.Header[jetstream.ExpectedLastSubjSeqHeader] = sequenceHeader(record)
		message.Header[jetstream.ExpectedLastSubjSeqSubjHeader] = []string{subject(w.topic.Name, keyToken(w.expect.Key))}
		return nil
	}
	record, err := w.expectedRecord(ctx)
	message.Header[jetstream.ExpectedLastSeqHeader] = sequenceHeader(record)
	return err
}

func sequenceHeader(record uint64) []string { return []string{strconv.FormatUint(record, 10)} }

// expectedRecord is the last record of the topic where what is expected of it
// holds. JetStream knows records only, and those that retention has removed too.
func (w *writing) expectedRecord(ctx context.Context) (uint64, error) {
	record, index := split(w.expect.Last)
	switch {
	case w.expect.Last < 0:
		return never, nil
	case w.expect.Last == 0:
		state, err := w.engine.streamState(ctx, w.topic)
		if err == nil && state.Msgs > 0 {
			err = engine.ErrSequence
		}
		return state.LastSeq, err
	case byEvent(w.topic):
		if index != 0 {
			record = never
		}
		return record, nil
	}
	// Which event is the last of a record never changes, so that much can be
	// checked before.
	events, err := w.engine.eventsOf(ctx, w.topic, record)
	if err != nil {
		return 0, err
	}
	// Where retention has removed the last record of the topic, how many events
	// it had isn't known any more: who names one of them has seen it.
	if events > 0 && index != events-1 {
		record = never
	}
	return record, nil
}

// check looks at what a batch without events expects.
func (w *writing) check(ctx context.Context) error {
	if w.expect == nil {
		return nil
	}
	actual, met, err := w.met(ctx)
	if err == nil && !met {
		err = &engine.SequenceError{Actual: actual}
	}
	return err
}

// met reports whether what the batch expects holds now, and what the last
// sequence is.
func (w *writing) met(ctx context.Context) (actual int64, met bool, err error) {
	if actual, err = w.actual(ctx); err != nil {
		return 0, false, err
	}
	if w.expect.Met(actual) {
		return actual, true, nil
	}
	if w.expect.Key != "" || w.expect.Last <= 0 {
		return actual, false, nil
	}
	// Of a record that is gone, actual is the first event that it had.
	last, _ := split(actual)
	record, err := w.expectedRecord(ctx)
	return actual, err == nil && record == last, err
}

// actual is the sequence of the last event of what the batch expects something
// of, or 0.
func (w *writing) actual(ctx context.Context) (int64, error) {
	if w.expect.Key == "" {
		if w.expect.Last == 0 {
			state, err := w.engine.streamState(ctx, w.topic)
			if err != nil || state.Msgs == 0 {
				return 0, err
			}
		}
		return w.engine.latest(ctx, w.topic)
	}
	stored, err := w.engine.reads.message(ctx, streamName(w.topic.Name), which{LastOf: subject(w.topic.Name, keyToken(w.expect.Key))})
	if err = translate(ctx, err); errors.Is(err, engine.ErrRecordNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return sequenceOf(stored.Sequence, 0), nil
}
