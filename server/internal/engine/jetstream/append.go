package jetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/tidings/server/internal/engine"
)

// appending is an append. It ends whether or not somebody waits.
type appending struct {
	// late says that it is stored by and by, so that what comes behind it waits.
	late     bool
	done     chan struct{} // Closed when it has ended, after these are set:
	appended engine.Appended
	err      error
	held     bool // What is behind it isn't to be stored.
}

// Wait implements engine.Append.
func (a *appending) Wait(ctx context.Context) (engine.Appended, error) {
	select {
	case <-a.done:
		return a.appended, a.err
	case <-ctx.Done():
		return engine.Appended{}, ctx.Err()
	}
}

// predecessor returns what a batch behind another has to wait for, or nil: what
// was sent before it comes before it. It returns ErrBehind where the batch isn't
// to be stored.
func predecessor(batch *engine.Batch, behind engine.Append) (before *appending, err error) {
	before, ok := behind.(*appending)
	if !ok || !before.late && !batch.Follows {
		return nil, err
	}
	select {
	case <-before.done:
		return nil, before.allows(batch)
	default:
		return before, err
	}
}

// allows returns ErrBehind where a batch behind this append, which has ended,
// isn't to be stored.
func (a *appending) allows(batch *engine.Batch) error {
	if a.held || batch.Follows && a.err != nil {
		return engine.ErrBehind
	}
	return nil
}

// endedWith is an append that has ended with an error, as those behind it do.
func endedWith(err error) *appending {
	a := &appending{late: true, done: make(chan struct{}), err: err, held: true}
	close(a.done)
	return a
}

// Start implements engine.Records. Appends of one caller are stored in their
// order. Those of different callers are, unless one of them has several events
// in a topic with DEDUPE_EVENT, or an expectation.
func (e *Engine) Start(ctx context.Context, topic *engine.Topic, batch *engine.Batch, behind engine.Append) (engine.Append, error) {
	if err := e.topics.check(topic); err != nil {
		return nil, err
	}
	if err := e.supports(topic, batch); err != nil {
		return nil, err
	}
	before, refused := predecessor(batch, behind)
	if refused != nil {
		return endedWith(refused), nil
	}
	weight := min(max(int64(len(batch.Data)), engine.MaxBytesUnderWay/maxInFlight), engine.MaxBytesUnderWay)
	if err := do(ctx, func(ctx context.Context) error { return e.inFlight.Acquire(ctx, weight) }); err != nil {
		return nil, err
	}
	w := e.newWriting(topic, batch)
	a := &appending{done: make(chan struct{}), late: before != nil || w.slow()}
	if !a.late {
		// Sent here, it is in the order of the starts.
		if err := w.send(); err != nil {
			e.inFlight.Release(weight)
			return nil, e.topicError(ctx, topic, err)
		}
	}
	// What the batch holds is given back when the storage has answered, however
	// late the caller waits: so not by the context of the call.
	own := context.WithoutCancel(ctx)
	e.appends.Go(func() (err error) {
		if before != nil {
			<-before.done
			if err := before.allows(batch); err != nil {
				return err
			}
		}
		a.appended, err = topicCall(own, e, topic, w.run)
		return err
	}, func(err error) {
		a.err, a.held = err, batch.HoldsBack(err, byEvent(topic), false)
		e.note(err)
		e.inFlight.Release(weight)
		close(a.done)
	})
	return a, nil
}

// supports returns an error for a batch that can't be stored here.
func (e *Engine) supports(topic *engine.Topic, batch *engine.Batch) error {
	if most := e.MaxRecordBytes(); len(batch.Data) > most {
		return fmt.Errorf("%w: %d bytes, at most %d", engine.ErrTooLarge, len(batch.Data), most)
	}
	// JetStream would take it and remove it at once, with all that was before.
	records := int64(1)
	if byEvent(topic) {
		records = int64(len(batch.Events))
	}
	each := headerSize(batch) + recordBytes
	if most := topic.Config.GetRetention().GetMaxBytes(); most > 0 && int64(len(batch.Data))+records*int64(each) > most {
		return fmt.Errorf("%w: %d bytes in a topic that keeps %d", engine.ErrTooLarge, len(batch.Data), most)
	}
	switch {
	case byEvent(topic) && len(batch.Events) > maxAtomic:
		return fmt.Errorf("%w: %d events with identities of their own, at most %d", engine.ErrUnsupported, len(batch.Events), maxAtomic)
	case len(batch.Expect) > 1:
		return fmt.Errorf("%w: %d expectations", engine.ErrUnsupported, len(batch.Expect))
	case len(batch.Expect) == 1 && batch.Expect[0].Key != "" && !byEvent(topic):
		return fmt.Errorf("%w: an expectation of a key in a topic that doesn't recognise events one by one", engine.ErrUnsupported)
	}
	return nil
}

// recordBytes is about what JetStream stores of a record beside its data.
const recordBytes = 256

// note remembers that an append was refused for want of room, or that there is
// room.
func (e *Engine) note(err error) {
	switch {
	case errors.Is(err, engine.ErrFull):
		e.refused.Store(time.Now().UnixNano())
	case err == nil && e.refused.Load() != 0:
		e.refused.Store(0)
	}
}

// full says that events are refused: the last one was, a short time ago.
func (e *Engine) full() bool {
	const short = 10 * time.Second
	return time.Since(time.Unix(0, e.refused.Load())) < short
}
