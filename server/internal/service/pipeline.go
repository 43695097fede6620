package service

import (
	"context"
	"errors"
	"io"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

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
)

// pipeline checks the batches of a stream and starts to store them while the
// ones before are still being stored, and answers them in their order.
type pipeline struct {
	service *Service
	// begin checks a request and starts to store it.
	begin func(data []byte, behind bool) (*publication, error)
	// lenient says that the batches after a refused one are stored too.
	lenient bool

	batches chan pipelined
	ended   chan error // Why there are no more batches; nil: there were no more.
	room    *semaphore.Weighted
	late    atomic.Int64 // The late batches without an answer.
}

// pipelined is what begin made of a batch.
type pipelined struct {
	publication *publication
	err         error
}

func (b pipelined) late() bool { return b.publication != nil && b.publication.late() }

func (b pipelined) weight() int64 {
	if b.publication == nil {
		return 0
	}
	return min(b.publication.weight, maxPipelinedBytes)
}

// run starts to receive. A call of stream.Receive may still be waiting when the
// caller is done; the end of the call ends it.
func (p *pipeline) run(ctx context.Context, stream Receiver) {
	p.batches = make(chan pipelined, maxPipelined)
	p.room = semaphore.NewWeighted(maxPipelinedBytes)
	p.ended = make(chan error, 1)
	go func() {
		p.ended <- p.receive(ctx, stream)
		close(p.batches)
	}()
}

func (p *pipeline) receive(ctx context.Context, stream Receiver) error {
	for {
		data, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			return nil
		}
		next := pipelined{err: err}
		switch known, ended := (*Error)(nil), (*EndedError)(nil); {
		case errors.As(err, &ended):
			return err
		case err == nil:
			next.publication, next.err = p.begin(data, p.late.Load() > 0)
			if next.late() {
				p.late.Add(1)
			}
		case !errors.As(err, &known):
			return err
		}
		if err := p.room.Acquire(ctx, next.weight()); err != nil {
			return err
		}
		select {
		case p.batches <- next:
		case <-ctx.Done():
			return ctx.Err()
		}
		if next.err != nil && !p.lenient {
			return nil // The batch says why.
		}
	}
}

// each calls answer with the response to each batch, or with why it was
// refused, until there are no more, answer returns an error, or the server
// drains and everything that was received is answered.
func (p *pipeline) each(ctx context.Context, answer func(*tidingsv1.PublishResponse, error) error) error {
	for {
		next, open, err := p.next()
		if err != nil {
			return err
		}
		if !open {
			return <-p.ended
		}
		var response *tidingsv1.PublishResponse
		if err = next.err; err == nil {
			response, err = p.service.finish(ctx, next.publication)
		}
		if next.late() {
			p.late.Add(-1)
		}
		if err := answer(response, err); err != nil {
			return err
		}
		p.room.Release(next.weight())
	}
}

func (p *pipeline) next() (next pipelined, open bool, err error) {
	select {
	case next, open = <-p.batches:
		return next, open, nil
	default:
	}
	select {
	case next, open = <-p.batches:
		return next, open, nil
	case <-p.service.drain:
		return pipelined{}, false, draining()
	}
}
