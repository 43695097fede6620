package client

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

const (
	// batchNumbers is how many numbers a batch has for its parts.
	batchNumbers = 1 << 16
	// eager is how many batches may be in flight before an event waits for others.
	eager = 2
	// keptBuffers is how many buffers of batches are used again.
	keptBuffers = 4
)

// publishQueue is what a Publisher holds. Its methods are called with the mutex of the
// Publisher.
type publishQueue struct {
	options PublisherOptions
	limits  publishLimits
	eager   int // See the constant. Most tests want 1: what waits is easier to tell.
	closed  bool

	used    int           // Bytes in flight.
	waiting []*roomWaiter // In their order.

	batches int64
	open    map[string]*publishBatch // By topic: those that take further events.
	fresh   []*publishBatch          // Never sent, in their order.
	flight  []*publishBatch          // Sent in the call that there is, in their order.
	again   []*publishBatch          // To be sent again, by number.
	held    map[string]int           // By topic: how many of again.
	sending *publishBatch            // Whose memory the writer may be reading.

	answered int64     // In the call that there is.
	failures int       // Since anything was stored.
	retryAt  time.Time // When to send again. Zero: now.
	buffers  [][]byte
	typical  int // The bytes of the batch that was answered last.
	dropped  int // Events that Close had no time for.
}

// publishLimits are what the server takes. 0: not known.
type publishLimits struct {
	requestBytes, events int
}

// roomWaiter is a call that waits for room.
type roomWaiter struct {
	weight int
	ready  chan struct{} // Closed when it has room, or when there is an error.
	err    error
}

func newPublishQueue(options PublisherOptions) publishQueue {
	return publishQueue{options: options, eager: eager, open: make(map[string]*publishBatch), held: make(map[string]int)}
}

// take puts the events of a call into a batch once there is room.
func (p *Publisher) take(ctx context.Context, r *Result, topic string, data []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := &p.queue
	if q.closed {
		return ErrClosed
	}
	if len(q.waiting) == 0 && q.fits(r.weight) {
		q.used += r.weight
	} else if err := p.waitForRoom(ctx, r.weight); err != nil {
		return err
	}
	if q.put(r, topic, data) {
		p.signal()
	}
	return nil
}

// waitForRoom gives the mutex back while it waits.
func (p *Publisher) waitForRoom(ctx context.Context, weight int) error {
	waiter := &roomWaiter{weight: weight, ready: make(chan struct{})}
	p.queue.waiting = append(p.queue.waiting, waiter)
	p.mu.Unlock()
	select {
	case <-waiter.ready:
	case <-ctx.Done():
	}
	p.mu.Lock()
	q := &p.queue
	if i := slices.Index(q.waiting, waiter); i >= 0 { // The context ended first.
		q.waiting = slices.Delete(q.waiting, i, i+1)
		q.admit() // It may have stood before a smaller one.
		return fmt.Errorf("no room among the events in flight: %w", ctx.Err())
	}
	if waiter.err == nil && q.closed {
		q.release(weight)
		return ErrClosed
	}
	return waiter.err
}

func (q *publishQueue) fits(weight int) bool {
	return q.used == 0 || q.used+weight <= q.options.MaxInFlightBytes
}

func (q *publishQueue) release(weight int) {
	q.used -= weight
	q.admit()
}

func (q *publishQueue) admit() {
	for len(q.waiting) > 0 && q.fits(q.waiting[0].weight) {
		q.used += q.waiting[0].weight
		close(q.waiting[0].ready)
		q.waiting = q.waiting[1:]
	}
}

func (q *publishQueue) close() {
	q.closed = true
	for _, waiter := range q.waiting {
		waiter.err = ErrClosed
		close(waiter.ready)
	}
	q.waiting = nil
}

// put adds events to a batch. It reports whether the writer has to know.
func (q *publishQueue) put(r *Result, topic string, data []byte) (news bool) {
	b := q.open[topic]
	if r.events > 1 {
		delete(q.open, topic)
		b = q.begin(topic)
		b.encoded, b.results = append(b.encoded, data...), append(b.results, r)
		r.batch = b
		return true
	}
	events, bytes := q.bounds()
	if b != nil && (len(b.results) >= events || len(b.encoded)+len(data) > bytes) {
		b = nil
	}
	if b == nil {
		b = q.begin(topic)
		b.shared = true
		q.open[topic] = b
		news = true
	}
	b.add(r, data)
	if len(b.results) >= events || len(b.encoded) >= bytes {
		delete(q.open, topic)
		news = true
	}
	return news
}

// bounds are those of a batch that events share.
func (q *publishQueue) bounds() (events, bytes int) {
	events, bytes = min(q.options.MaxBatchEvents, batchNumbers), q.options.MaxBatchBytes
	if q.limits.events > 0 {
		events = min(events, q.limits.events)
	}
	if q.limits.requestBytes > 0 {
		bytes = min(bytes, q.limits.requestBytes-len(q.options.Topic)-requestOverhead)
	}
	return events, bytes
}

// requestOverhead is more than what a request has besides its events and its topic.
const requestOverhead = 32

func (q *publishQueue) begin(topic string) *publishBatch {
	b := &publishBatch{number: q.batches * batchNumbers, topic: topic, opened: time.Now()}
	q.batches++
	if last := len(q.buffers) - 1; last >= 0 {
		b.encoded, q.buffers = q.buffers[last], q.buffers[:last]
	} else {
		b.encoded = make([]byte, 0, q.typical)
	}
	q.fresh = append(q.fresh, b)
	return b
}

// withdraw takes the events of a Result back if they haven't been sent. The Result ends
// then with the cause.
func (p *Publisher) withdraw(r *Result, cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := r.batch
	if b == nil || b.sent {
		return
	}
	if !b.withdraw(r) {
		p.queue.fresh = slices.DeleteFunc(p.queue.fresh, func(one *publishBatch) bool { return one == b })
		if p.queue.open[b.topic] == b {
			delete(p.queue.open, b.topic)
		}
		p.queue.unhold(b)
	}
	r.end(nil, fmt.Errorf("the events were not sent: %w", cause))
	p.queue.release(r.weight)
}

// pending reports whether there is anything to send.
func (q *publishQueue) pending() bool { return len(q.fresh)+len(q.again) > 0 }

// idle reports whether nothing is sent or to be sent.
func (q *publishQueue) idle() bool { return !q.pending() && len(q.flight) == 0 }

// next takes the next batch to be sent, or returns how long to wait for one at most; 0:
// until something changes.
func (q *publishQueue) next(now time.Time) (b *publishBatch, wait time.Duration) {
	q.sending = nil
	for {
		if b, wait = q.choose(now); b == nil {
			return nil, wait
		}
		b.prepare(q.options.Topic)
		if q.isOversized(b) {
			continue
		}
		b.sent = true
		q.sending = b
		q.flight = append(q.flight, b)
		return b, 0
	}
}

// choose is next that looks at nothing but the order.
func (q *publishQueue) choose(now time.Time) (b *publishBatch, wait time.Duration) {
	alone := len(q.flight) == 0
	if !alone && q.flight[0].suspect {
		return nil, 0
	}
	if len(q.again) > 0 {
		b, wait = q.again[0], q.retryAt.Sub(now)
		switch {
		case b.suspect && !alone:
			return nil, 0
		case wait <= 0:
			q.unhold(b)
			return b, 0
		}
	}
	for i, b := range q.fresh {
		if q.held[b.topic] > 0 {
			continue
		}
		lingers := b.opened.Add(q.options.Linger).Sub(now)
		if q.open[b.topic] != b || q.closed || len(q.flight) < q.eager || lingers <= 0 {
			q.fresh = withoutBatch(q.fresh, i)
			if q.open[b.topic] == b {
				delete(q.open, b.topic)
			}
			return b, 0
		}
		if wait <= 0 || lingers < wait {
			wait = lingers
		}
	}
	return nil, max(wait, 0)
}

// hold puts a batch among those to be sent again.
func (q *publishQueue) hold(b *publishBatch) {
	i, _ := slices.BinarySearchFunc(q.again, b.number, func(one *publishBatch, number int64) int { return cmp.Compare(one.number, number) })
	q.again = slices.Insert(q.again, i, b)
	q.held[b.topic]++
}

// unhold takes a batch from those to be sent again, if it is there.
func (q *publishQueue) unhold(b *publishBatch) {
	i := slices.Index(q.again, b)
	if i < 0 {
		return
	}
	q.again = withoutBatch(q.again, i)
	q.held[b.topic]--
	if q.held[b.topic] == 0 {
		delete(q.held, b.topic)
	}
}

// withoutBatch takes a batch out of a list. Of a long one that is nearly always the first.
func withoutBatch(batches []*publishBatch, i int) []*publishBatch {
	if i == 0 {
		batches[0] = nil
		return batches[1:]
	}
	return slices.Delete(batches, i, i+1)
}

// finish ends a Result.
func (q *publishQueue) finish(r *Result, receipts []Receipt, err error) {
	r.batch = nil
	r.end(receipts, err)
	q.release(r.weight)
}

// fail ends all Results of a batch that have no outcome yet.
func (q *publishQueue) fail(b *publishBatch, err error) {
	for _, r := range b.results {
		if r != nil && r.batch == b {
			q.finish(r, nil, err)
		}
	}
	q.recycle(b)
}

// recycle keeps the memory of a batch that is done for another.
func (q *publishQueue) recycle(b *publishBatch) {
	q.typical = min(len(b.encoded), q.options.MaxBatchBytes)
	if !b.part && b != q.sending && len(q.buffers) < keptBuffers && cap(b.encoded) <= q.options.MaxBatchBytes {
		q.buffers = append(q.buffers, b.encoded[:0])
	}
}
