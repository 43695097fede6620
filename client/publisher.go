package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// ErrClosed is the error of events that a [Publisher] was given after Close, or that
// Close had no time for.
var ErrClosed = errors.New("the publisher is closed")

// ErrOutcomeUnknown is part of the error of events that were sent and got no answer:
// whether they are stored isn't known. In a topic with DEDUPE_EVENT they can be
// published again, with the ids that they had.
var ErrOutcomeUnknown = errors.New("the events may have been stored")

// The defaults of PublisherOptions.
const (
	defaultBatchEvents   = 1000
	defaultBatchBytes    = 1 << 20
	defaultLinger        = 5 * time.Millisecond
	defaultInFlightBytes = 16 << 20
	defaultAnswerTimeout = 30 * time.Second
)

// PublisherOptions are how a [Publisher] batches, and how much it holds.
type PublisherOptions struct {
	// Topic gets all events. Empty: each event goes to the topic that its type
	// declares.
	Topic string
	// MaxBatchEvents is how many events share a batch at most. 0: 1,000; fewer where
	// the server takes fewer. With 1, each event is stored as Publish of the generated
	// client stores it.
	MaxBatchEvents int
	// MaxBatchBytes is how large a batch that events share becomes at most, in bytes as
	// encoded. 0: 1 MiB; less where the server takes less. A larger event is a batch of
	// its own.
	MaxBatchBytes int
	// Linger is how long an event waits at most for others to share its batch. 0: 5 ms.
	// It waits only while earlier batches are in flight.
	Linger time.Duration
	// MaxInFlightBytes bounds the events that have been taken and have no answer yet,
	// sent or not, in bytes as encoded and 128 more for each. 0: 16 MiB. Where they are
	// as many, further calls wait for room. A call that is larger by itself is taken
	// when nothing else is in flight.
	MaxInFlightBytes int
	// AnswerTimeout is how long nothing may be answered while batches are in flight. Then
	// the stream is given up, and what has no answer is sent again on another: that may
	// reach another server, where the first one hangs behind a proxy. 0: 30 seconds. Keep
	// it below the topics' dedupe_window, so that what was stored is recognised.
	AnswerTimeout time.Duration
	// Tracer makes the spans of calls, and gives events their trace context. Nil: nothing
	// is traced.
	Tracer Tracer
}

// Receipt says that an event is stored.
type Receipt struct {
	// Topic holds the event.
	Topic string
	// Sequence is the event's position in the topic.
	Sequence int64
	// Duplicate: the event was stored by an earlier request, which may be the
	// Publisher's own before a connection was lost.
	Duplicate bool
}

// Publisher publishes the events of many goroutines in batches on one stream. It may be
// used by all of them at once, and is ended by Close.
//
// The events of one call are stored together or not at all. A call with one event may
// share its batch with others of the same topic, and is refused by itself; a call with
// several is a batch of its own. Events are encoded before a call returns and may be
// changed afterwards. An event without an id gets a random one.
//
// What has no receipt when the connection is lost, the server drains or nothing is
// answered for PublisherOptions.AnswerTimeout is sent again, as the same batches in the
// same order, so that a server recognises what it has stored; so is a batch that the server refuses for a reason that passes. Both go on
// until Close, with exponential back-off and jitter, from 0.1 s at most to 10 s at most, or
// with the server's delay where it is longer. A batch that the server fails with INTERNAL is
// given up after five attempts. When the outage is longer than the topic's dedupe_window,
// what was stored before it is stored again.
//
// Events of one topic are stored in the order in which the calls took them: calls that
// follow one another keep their order. There is one exception: what is sent again of a
// batch that the server refused is stored after what was in flight with it. Where even
// then an event mustn't be stored before another, publish it once the other has its
// receipt. Events without PublisherOptions.Topic whose type isn't linked into
// the program count as a topic of their type.
//
// Sharing batches has a price in topics with DEDUPE_REQUEST: a batch is recognised by
// all its events, so an event that the program itself publishes again, in another
// batch, is stored again. Where a program does so, the topic needs DEDUPE_EVENT, or the
// Publisher MaxBatchEvents: 1.
//
// Interceptors of the connection see the requests with their events encoded, as unknown
// fields. Where the options of NewConnect ask for JSON, the Publisher speaks protobuf all
// the same.
type Publisher struct {
	calls   calls
	options PublisherOptions
	wake    chan struct{} // Tells the writer that something changed.
	stop    context.CancelFunc
	ended   chan struct{} // Closed when the writer has ended.
	topics  sync.Map      // The topics of types, by type URL.

	mu    sync.Mutex
	queue publishQueue
}

// Publisher returns a Publisher, which connects when it gets the first event.
func (c *Client) Publisher(options PublisherOptions) *Publisher {
	options.complete()
	ctx, cancel := context.WithCancel(context.Background())
	p := &Publisher{
		calls:   c.calls,
		options: options,
		wake:    make(chan struct{}, 1),
		stop:    cancel,
		ended:   make(chan struct{}),
		queue:   newPublishQueue(options),
	}
	go func() {
		defer close(p.ended)
		p.run(ctx)
	}()
	return p
}

func (o *PublisherOptions) complete() {
	set := func(value *int, otherwise int) {
		if *value <= 0 {
			*value = otherwise
		}
	}
	set(&o.MaxBatchEvents, defaultBatchEvents)
	set(&o.MaxBatchBytes, defaultBatchBytes)
	set(&o.MaxInFlightBytes, defaultInFlightBytes)
	if o.Linger <= 0 {
		o.Linger = defaultLinger
	}
	if o.AnswerTimeout <= 0 {
		o.AnswerTimeout = defaultAnswerTimeout
	}
}

// Publish stores events and returns their receipts, one for each, in their order. It
// waits for room where MaxInFlightBytes are in flight, and for the answer.
//
// A [RefusedError] says why the server refused; the paths in it are those of this call.
// Where the context ends first, the error wraps the context's, and ErrOutcomeUnknown if
// the events had been sent; what hadn't is not sent any more. Other errors are
// ErrClosed, those of encoding, and those with which the server refuses all calls, such
// as PERMISSION_DENIED.
func (p *Publisher) Publish(ctx context.Context, events ...*tidingsv1.Event) ([]Receipt, error) {
	r := p.PublishAsync(ctx, events...)
	select {
	case <-r.Done():
	case <-ctx.Done():
		p.withdraw(r, ctx.Err())
	}
	return r.Get(ctx)
}

// PublishAsync is Publish that doesn't wait for the answer, but for room alone, which
// is what the context bounds. All errors are the Result's.
func (p *Publisher) PublishAsync(ctx context.Context, events ...*tidingsv1.Event) *Result {
	r := &Result{events: len(events), trace: noTrace{}}
	if err := ctx.Err(); err != nil || len(events) == 0 {
		r.end(nil, err)
		return r
	}
	topic := p.topicOf(events[0])
	if p.options.Tracer != nil {
		r.trace = p.options.Tracer.Publish(ctx, known(topic), events)
	}
	buffer := encodings.Get().(*[]byte) //nolint:forcetypeassert // The pool holds nothing else.
	defer encodings.Put(buffer)
	data, err := encodeEvents((*buffer)[:0], events, r.trace)
	if err != nil {
		r.end(nil, err)
		return r
	}
	if cap(data) <= maxKeptEncoding {
		*buffer = data
	}
	r.weight = len(data) + len(events)*eventOverhead
	if err := p.take(ctx, r, topic, data); err != nil {
		r.end(nil, err)
	}
	return r
}

// Close sends what the Publisher was given and waits for the answers, until the context
// ends; then the rest fails with ErrClosed and the error says how much that is. Calls
// that wait for room, and later ones, fail with ErrClosed. It may be called by several
// goroutines and again.
func (p *Publisher) Close(ctx context.Context) error {
	p.mu.Lock()
	p.queue.close()
	p.mu.Unlock()
	p.signal()
	select {
	case <-p.ended:
	case <-ctx.Done():
		p.stop()
		<-p.ended
	}
	if dropped := p.queue.dropped; dropped > 0 { // Nobody changes it any more.
		return fmt.Errorf("%d events have no receipt: %w", dropped, ErrClosed)
	}
	return nil
}

// signal wakes the writer, unless somebody did already.
func (p *Publisher) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Result is what becomes of the events of one call of [Publisher.PublishAsync].
type Result struct {
	mu    sync.Mutex
	ended bool
	done  chan struct{} // nil: nobody has asked for it.

	receipts []Receipt // When it has ended.
	err      error

	trace  PublishTrace
	only   [1]Receipt // So that one receipt needs no allocation.
	events int
	weight int           // Of its events in flight.
	batch  *publishBatch // That it is in. nil: in none, or answered. The mutex of the Publisher guards it.
	index  int           // In the batch.
}

// alwaysDone is the channel of Results that have ended before anybody asked for it.
var alwaysDone = func() chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}()

// Done is closed when it is known what became of the events.
func (r *Result) Done() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.ended && r.done == nil:
		return alwaysDone
	case r.done == nil:
		r.done = make(chan struct{})
	}
	return r.done
}

// Get waits for the receipts, as Publish does. Where the context ends first, only the
// wait ends: the error wraps the context's and ErrOutcomeUnknown, and Get may be called
// again.
func (r *Result) Get(ctx context.Context) ([]Receipt, error) {
	done := r.Done()
	select {
	case <-done:
		return r.receipts, r.err
	default:
	}
	select {
	case <-done:
		return r.receipts, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ctx.Err(), ErrOutcomeUnknown)
	}
}

func (r *Result) end(receipts []Receipt, err error) {
	r.receipts, r.err = receipts, err
	r.trace.Done(receipts, err)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	if r.done != nil {
		close(r.done)
	}
}
