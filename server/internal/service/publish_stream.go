package service

import (
	"context"

	"example.com/tidings/server/internal/telemetry"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// PublishStream is the server's side of a PublishStream call. Receive and Send
// may be called at the same time.
type PublishStream interface {
	Receiver
	Send(*tidingsv1.PublishStreamResponse) error
}

// PublishStream implements tidings.v1.PublisherService. It returns while a call
// of stream.Receive may still be waiting; the end of the call ends that.
func (s *Service) PublishStream(ctx context.Context, stream PublishStream) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := &pipeline{service: s, lenient: true}
	began := false
	p.parse = func(data []byte, j *job) error {
		publish, stop, err := unwrap(data)
		if err != nil {
			return err
		}
		if !began {
			began, p.stopping = true, stop
		}
		if stop && !p.stopping {
			return fieldFault(tidingsv1.ErrorReason_ERROR_REASON_REQUEST_INVALID, "stop_on_error", "must be set in the first message")
		}
		return parsePublish(publish, &j.batch, 0)
	}
	if err := p.run(ctx, stream); err != nil {
		return err
	}
	call := telemetry.CallFrom(ctx)
	var number int64
	return p.each(ctx, func(published *tidingsv1.PublishResponse, err error) error {
		response := &tidingsv1.PublishStreamResponse{Batch: number}
		number++
		if err != nil {
			known := AsError(ctx, s.log, err)
			call.Answered(known.Name())
			response.Result = &tidingsv1.PublishStreamResponse_Error{Error: known.Proto()}
		} else {
			response.Result = &tidingsv1.PublishStreamResponse_Published{Published: published}
		}
		return stream.Send(response)
	})
}
