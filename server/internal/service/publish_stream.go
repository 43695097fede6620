package service

import (
	"context"
	"errors"
	"io"

	"golang.org/x/sync/semaphore"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// Receiver is the receiving side of a stream of publish requests.
type Receiver interface {
	// Receive returns the next request as it is encoded, io.EOF after the
	// last, or the error that ended the stream. A request that couldn't be
	// decoded is an *Error, after which the stream goes on. The bytes are the
	// caller's until the next call.
	Receive() ([]byte, error)
}

// PublishStream is the server's side of a PublishStream call. Receive and Send
// may be called at the same time.
type PublishStream interface {
	Receiver
	Send(*tidingsv1.PublishStreamResponse) error
}

const (
	// maxPipelined and maxPipelinedBytes bound the batches of a stream that
	// have no response yet.
	maxPipelined      = 256
	maxPipelinedBytes = 16 << 20
)

// outcome is what begin made of a batch.
type outcome struct {
	publication *publication
	err         error
}

func (o outcome) weight() int64 {
	if o.publication == nil {
		return 0
	}
	return min(o.publication.weight, maxPipelinedBytes)
}

// PublishStream implements tidings.v1.PublisherService. It returns while a call
// of stream.Receive may still be waiting; the end of the call ends that.
func (s *Service) PublishStream(ctx context.Context, stream PublishStream) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	outcomes := make(chan outcome, maxPipelined)
	room := semaphore.NewWeighted(maxPipelinedBytes)
	ended := make(chan error, 1)
	go func() {
		ended <- s.receiveBatches(ctx, stream, outcomes, room)
		close(outcomes)
	}()
	for number := int64(0); ; number++ {
		next, open, err := s.nextOutcome(outcomes)
		if err != nil {
			return err
		}
		if !open {
			return <-ended
		}
		response := &tidingsv1.PublishStreamResponse{Batch: number}
		if published, err := s.conclude(ctx, next); err != nil {
			response.Result = &tidingsv1.PublishStreamResponse_Error{Error: AsError(ctx, s.log, err).Proto()}
		} else {
			response.Result = &tidingsv1.PublishStreamResponse_Published{Published: published}
		}
		if err := stream.Send(response); err != nil {
			return err
		}
		room.Release(next.weight())
	}
}

// nextOutcome waits for the next batch. Once the server drains, only what has
// been received is waited for.
func (s *Service) nextOutcome(outcomes <-chan outcome) (next outcome, open bool, err error) {
	select {
	case next, open = <-outcomes:
		return next, open, nil
	default:
	}
	select {
	case next, open = <-outcomes:
		return next, open, nil
	case <-s.drain.Done():
		return outcome{}, false, draining()
	}
}

func (s *Service) conclude(ctx context.Context, o outcome) (*tidingsv1.PublishResponse, error) {
	if o.err != nil {
		return nil, o.err
	}
	return s.finish(ctx, o.publication)
}

func (s *Service) receiveBatches(ctx context.Context, stream PublishStream, outcomes chan<- outcome, room *semaphore.Weighted) error {
	var b batch
	for {
		data, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			return nil
		}
		next := outcome{err: err}
		switch known := (*Error)(nil); {
		case err == nil:
			if next.err = parseBatch(data, &b, 0); next.err == nil {
				next.publication, next.err = s.begin(ctx, &b, 0)
			}
		case !errors.As(err, &known):
			return err
		}
		if err := room.Acquire(ctx, next.weight()); err != nil {
			return err
		}
		select {
		case outcomes <- next:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
