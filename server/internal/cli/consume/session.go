package consume

import (
	"context"
	"errors"
	"io"

	"connectrpc.com/connect"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/gen/go/tidings/v1/tidingsv1connect"
	"example.com/tidings/server/internal/guard"
)

// session is one call of Consume. One goroutine of its own sends and one
// receives; everything else is for whoever opened it, who reads frames until
// there is one with an error, and then calls end.
type session struct {
	stream *connect.BidiStreamForClientSimple[tidingsv1.ConsumeRequest, tidingsv1.ConsumeResponse]
	ctx    context.Context //nolint:containedctx // The call's own, which tells why it was given up.
	cancel context.CancelCauseFunc
	tasks  guard.Group

	frames chan frame
	// ready has a value while outbox has room for a request, so that requests
	// are made when they can be sent, of all that there is by then.
	ready  chan struct{}
	outbox chan *tidingsv1.ConsumeRequest

	held     []*lease   // Those named in the first request.
	sent     [][]demand // The batches without answer, the oldest first.
	answered int64      // Batches.
	opened   bool
	draining bool // The server wants the call to end.
	closed   bool // Nothing more is sent.
}

// frame is what came: a response or, as the last, why the call ended, io.EOF
// where that was in good order.
type frame struct {
	response *tidingsv1.ConsumeResponse
	err      error
}

// openSession begins a call. held are the leases that open names. The call ends
// with ctx.
func openSession(ctx context.Context, client tidingsv1connect.ConsumerServiceClient, open *tidingsv1.ConsumeOpen, held []*lease) (*session, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	stream, err := client.Consume(ctx)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	s := &session{
		stream: stream, ctx: ctx, cancel: cancel, held: held,
		frames: make(chan frame), ready: make(chan struct{}, 1), outbox: make(chan *tidingsv1.ConsumeRequest, 1),
	}
	s.outbox <- &tidingsv1.ConsumeRequest{Request: &tidingsv1.ConsumeRequest_Open{Open: open}}
	s.tasks.Go(s.send, func(err error) {
		if err != nil {
			s.cancel(err)
		}
	})
	s.tasks.Go(s.receive, func(err error) {
		if cause := context.Cause(s.ctx); cause != nil && !errors.Is(cause, context.Canceled) {
			err = cause
		}
		s.frames <- frame{err: err}
	})
	return s, nil
}

func (s *session) send() error {
	for request := range s.outbox {
		err := s.stream.Send(request)
		if errors.Is(err, io.EOF) {
			return nil // The call has ended, and the receiver is told why.
		}
		if err != nil {
			return err
		}
		s.ready <- struct{}{}
	}
	return s.stream.CloseRequest()
}

func (s *session) receive() error {
	for {
		response, err := s.stream.Receive()
		if err != nil {
			return err
		}
		s.frames <- frame{response: response}
	}
}

// room returns the channel that has a value when a request can be sent, or nil
// where nothing is to be sent.
func (s *session) room(pending bool) <-chan struct{} {
	if s == nil || !s.opened || s.closed || !pending {
		return nil
	}
	return s.ready
}

// settle sends demands. The caller has taken a value from ready.
func (s *session) settle(demands []demand) {
	if len(demands) == 0 {
		// The leases have gone since. The room in outbox is still there.
		s.ready <- struct{}{}
		return
	}
	s.sent = append(s.sent, demands)
	s.outbox <- &tidingsv1.ConsumeRequest{Request: &tidingsv1.ConsumeRequest_Settle{Settle: &tidingsv1.SettlementBatch{Settlements: settlements(demands)}}}
}

// close ends the client's side, after what was sent. The call goes on until the
// server has answered that.
func (s *session) close() {
	if s.closed {
		return
	}
	s.closed = true
	close(s.outbox)
}

// end waits for the goroutines of a call that has ended, and returns the demands
// without an answer.
func (s *session) end() []demand {
	s.cancel(nil)
	s.close()
	s.tasks.Wait()
	_ = s.stream.CloseResponse()
	var unanswered []demand
	for _, demands := range s.sent {
		unanswered = append(unanswered, demands...)
	}
	return unanswered
}
