package service

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"example.com/tidings/server/internal/guard"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// Receiver is the receiving side of a stream of publish requests.
type Receiver interface {
	// Receive returns the next request as it is encoded, io.EOF after the
	// last, or the error that ended the stream. A request that couldn't be
	// decoded is an *Error, after which the stream goes on unless it comes in
	// an *EndedError. The bytes are in the memory of into, if they fit, and the
	// caller's.
	Receive(into []byte) ([]byte, error)
}

const (
	// maxPipelined and maxPipelinedBytes bound the batches of a stream that
	// have no answer yet, so that none takes all of engine.MaxBytesUnderWay.
	maxPipelined      = 256
	maxPipelinedBytes = 4 << 20
	// maxCheckers bounds the batches of a stream that are checked at once.
	maxCheckers = 8
	// maxJobBytes is the size of a request above which its memory isn't kept.
	maxJobBytes = 1 << 20
)

// errStopped ends a call that was to stop with a batch before.
var errStopped = errors.New("a batch before wasn't stored")

// pipeline takes the batches of a stream through four steps, of which each
// works on another batch at the same time: they are received and parsed in
// their order, checked in any order by as many goroutines as there are
// processors, started in their order, and answered in their order.
type pipeline struct {
	service *Service
	// parse reads a request into a job. Only the receiving goroutine calls it.
	parse func(data []byte, j *job) error
	// lenient says that the batches after a refused one are stored too, where
	// stopping doesn't say otherwise.
	lenient bool
	// stopping says that the call ends with the first batch that isn't wholly
	// stored. It is the receiving goroutine's, and set by parse.
	stopping bool

	jobs     chan *job    // Received, in order.
	started  chan *job    // In order.
	ended    chan error   // Why no more are received; nil: there are no more.
	startErr error        // Once started is closed: why it was before its time.
	pending  atomic.Int64 // The batches without an answer.
	room     *semaphore.Weighted
}

// job is a batch in flight.
type job struct {
	data     []byte
	received time.Time // Zero: nobody asks.
	batch    batch
	// base is the index of the first event.
	base int64
	// stop says that the call ends with this batch unless it is wholly stored.
	stop        bool
	checked     chan struct{}
	publication *publication
	err         error
}

var jobs = sync.Pool{New: func() any { return new(job) }}

// weight is what a batch takes of maxPipelinedBytes: its share of maxPipelined
// batches at least.
func (j *job) weight() int64 {
	return min(max(int64(len(j.data)), maxPipelinedBytes/maxPipelined), maxPipelinedBytes)
}

// run starts to receive, unless the server drains. A call of stream.Receive may
// still be waiting when the caller is done; the end of the call ends it.
func (p *pipeline) run(ctx context.Context, stream Receiver) error {
	if p.service.Draining() {
		return draining()
	}
	p.jobs = make(chan *job, maxPipelined)
	p.started = make(chan *job, maxPipelined)
	p.ended = make(chan error, 1)
	p.room = semaphore.NewWeighted(maxPipelinedBytes)
	guard.Go(func() error { return p.receive(ctx, stream) }, func(err error) {
		p.ended <- err
		close(p.jobs)
	})
	guard.Go(func() error { return p.start(ctx) }, func(err error) {
		p.startErr = err
		close(p.started)
	})
	return nil
}

func (p *pipeline) receive(ctx context.Context, stream Receiver) error {
	checkers := make(chan struct{}, min(runtime.GOMAXPROCS(0), maxCheckers))
	for {
		j := jobs.Get().(*job) //nolint:forcetypeassert // The pool holds nothing else.
		data, err := stream.Receive(j.data[:0])
		if errors.Is(err, io.EOF) {
			return nil
		}
		switch known, ended := (*Error)(nil), (*EndedError)(nil); {
		case err == nil:
		case errors.As(err, &ended), !errors.As(err, &known):
			return err
		}
		p.pending.Add(1)
		j.data, j.base, j.publication, j.err, j.checked = data, 0, nil, err, make(chan struct{})
		if p.service.tracer != nil {
			j.received, j.batch.events = time.Now(), j.batch.events[:0] // They may not be parsed.
		}
		if err := p.room.Acquire(ctx, j.weight()); err != nil {
			return err
		}
		if j.err == nil {
			j.err = guard.Do(func() error { return p.parse(j.data, j) })
		}
		if err := p.charge(ctx, j); err != nil {
			return err
		}
		j.stop = p.stopping
		if j.err != nil {
			close(j.checked)
		} else {
			checkers <- struct{}{}
			p.check(ctx, j, checkers)
		}
		select {
		case p.jobs <- j:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// check checks a batch in a goroutine of its own, which gives its place among the
// checkers back.
func (p *pipeline) check(ctx context.Context, j *job, checkers <-chan struct{}) {
	guard.Go(func() (err error) {
		j.publication, err = p.service.check(ctx, &j.batch, j.base)
		return err
	}, func(err error) {
		j.err = err
		<-checkers
		close(j.checked)
	})
}

// start starts the batches until there are no more, or one after which nothing is
// stored.
func (p *pipeline) start(ctx context.Context) error {
	var before *publication
	refused := false // Something was.
	for j := range p.jobs {
		<-j.checked
		if refused && j.stop { // A message before it couldn't say so.
			return errStopped
		}
		if j.err == nil {
			j.err = guard.Do(func() error { return p.service.start(ctx, j.publication, before, j.stop) })
		}
		if j.err == nil && j.publication.append != nil {
			before = j.publication
		}
		refused = refused || j.err != nil || len(j.publication.refused) > 0
		last := j.err != nil && !p.lenient || refused && j.stop // Nothing after it is stored.
		select {
		case p.started <- j: // It isn't this goroutine's any more.
		case <-ctx.Done():
			return ctx.Err()
		}
		if last {
			return nil
		}
	}
	return nil
}

// each calls answer with the response to each batch, or with why it was
// refused, until there are no more, the call is to stop with one, answer returns
// an error, or the server drains and everything that was received is answered.
func (p *pipeline) each(ctx context.Context, answer func(*tidingsv1.PublishResponse, error) error) error {
	for {
		j, err := p.next(ctx)
		if err != nil {
			return err
		}
		switch {
		case j == nil && errors.Is(p.startErr, errStopped):
			return nil
		case j == nil && p.startErr != nil:
			return p.startErr
		case j == nil:
			return <-p.ended
		}
		var response *tidingsv1.PublishResponse
		if err = j.err; err == nil {
			response, err = p.service.finish(ctx, j.publication)
		}
		fault := answer(response, err)
		p.traceBatch(ctx, j, err)
		if fault != nil {
			return fault
		}
		if j.stop && (err != nil || len(response.GetRefusedEvents()) > 0) {
			return nil //nolint:nilerr // It has been answered.
		}
		p.room.Release(j.weight())
		p.pending.Add(-1)
		if cap(j.data) <= maxJobBytes {
			jobs.Put(j)
		}
	}
}

// next returns the next batch that is started, or nil if there are no more.
func (p *pipeline) next(ctx context.Context) (*job, error) {
	select {
	case j := <-p.started:
		return j, nil
	default:
	}
	select {
	case j := <-p.started:
		return j, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-p.service.drain:
		if p.pending.Load() == 0 {
			return nil, draining()
		}
		return <-p.started, nil
	}
}
