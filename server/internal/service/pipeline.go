package service

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/guard"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// Receiver is the receiving side of a stream of publish requests.
type Receiver interface {
	// Receive returns the next request as it is encoded, io.EOF after the
	// last, or the error that ended the stream. A request that couldn't be
	// decoded is an *Error, after which the stream goes on unless it comes in
	// an *EndedError. The bytes are the caller's until the next call.
	Receive() ([]byte, error)
}

const (
	// maxPipelined and maxPipelinedBytes bound the batches of a stream that
	// have no answer yet.
	maxPipelined      = 256
	maxPipelinedBytes = 16 << 20
	// maxCheckers bounds the batches of a stream that are checked at once.
	maxCheckers = 8
	// maxJobBytes is the size of a request above which its memory isn't kept.
	maxJobBytes = 1 << 20
)

// pipeline takes the batches of a stream through four steps, of which each
// works on another batch at the same time: they are received and parsed in
// their order, checked in any order by as many goroutines as there are
// processors, started in their order, and answered in their order.
type pipeline struct {
	service *Service
	// parse reads a request and returns the index of its first event.
	parse func(data []byte, b *batch) (base int64, err error)
	// lenient says that the batches after a refused one are stored too.
	lenient bool

	jobs     chan *job    // Received, in order.
	started  chan *job    // In order.
	ended    chan error   // Why no more are received; nil: there are no more.
	startErr error        // Once started is closed: why it was before its time.
	pending  atomic.Int64 // The batches without an answer.
	room     *semaphore.Weighted
}

// job is a batch on its way.
type job struct {
	data        []byte
	batch       batch
	checked     chan struct{}
	publication *publication
	err         error
}

var jobs = sync.Pool{New: func() any { return new(job) }}

func (j *job) weight() int64 { return min(int64(len(j.data)), maxPipelinedBytes) }

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
		data, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			return nil
		}
		switch known, ended := (*Error)(nil), (*EndedError)(nil); {
		case err == nil:
		case errors.As(err, &ended), !errors.As(err, &known):
			return err
		}
		p.pending.Add(1)
		j := jobs.Get().(*job) //nolint:forcetypeassert // The pool holds nothing else.
		j.data = append(j.data[:0], data...)
		j.publication, j.err, j.checked = nil, err, make(chan struct{})
		if err := p.room.Acquire(ctx, j.weight()); err != nil {
			return err
		}
		var base int64
		if j.err == nil {
			j.err = guard.Do(func() (err error) {
				base, err = p.parse(j.data, &j.batch)
				return err
			})
		}
		if j.err != nil {
			close(j.checked)
		} else {
			checkers <- struct{}{}
			p.check(ctx, j, base, checkers)
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
func (p *pipeline) check(ctx context.Context, j *job, base int64, checkers <-chan struct{}) {
	guard.Go(func() (err error) {
		j.publication, err = p.service.check(ctx, &j.batch, base)
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
	var behind engine.Append
	for j := range p.jobs {
		<-j.checked
		if j.err == nil {
			j.err = guard.Do(func() error { return p.service.start(ctx, j.publication, behind) })
		}
		if j.err == nil && j.publication.append != nil {
			behind = j.publication.append
		}
		last := j.err != nil && !p.lenient // Nothing after it is stored.
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
// refused, until there are no more, answer returns an error, or the server
// drains and everything that was received is answered.
func (p *pipeline) each(ctx context.Context, answer func(*tidingsv1.PublishResponse, error) error) error {
	for {
		j, err := p.next()
		if err != nil {
			return err
		}
		switch {
		case j == nil && p.startErr != nil:
			return p.startErr
		case j == nil:
			return <-p.ended
		}
		var response *tidingsv1.PublishResponse
		if err = j.err; err == nil {
			response, err = p.service.finish(ctx, j.publication)
		}
		if err := answer(response, err); err != nil {
			return err
		}
		p.room.Release(j.weight())
		p.pending.Add(-1)
		if cap(j.data) <= maxJobBytes {
			jobs.Put(j)
		}
	}
}

// next returns the next batch that is started, or nil if there are no more.
func (p *pipeline) next() (*job, error) {
	select {
	case j := <-p.started:
		return j, nil
	default:
	}
	select {
	case j := <-p.started:
		return j, nil
	case <-p.service.drain:
		if p.pending.Load() == 0 {
			return nil, draining()
		}
		return <-p.started, nil
	}
}
