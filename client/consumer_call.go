package client

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// maxUnanswered is how many batches of settlements may be without an answer. What is
// settled meanwhile makes the next one, so quick work is settled in large batches.
const maxUnanswered = 8

// consumeCall is one call of Consume. One goroutine of its own sends and one receives;
// everything else is for whoever opened it, who reads frames until there is one with
// an error, and then calls end.
type consumeCall struct {
	ctx    context.Context //nolint:containedctx // The call's own, which tells why it was given up.
	cancel context.CancelCauseFunc
	tasks  sync.WaitGroup

	frames chan consumeFrame
	// ready has a value while outbox has room for a request, so that requests are made
	// when they can be sent, of all that there is by then.
	ready  chan struct{}
	outbox chan *tidingsv1.ConsumeRequest

	silence time.Duration // After which the connection is taken for dead.
	quiet   *time.Timer   // Fires then.

	held     []*lease   // Those named in the first request.
	sent     [][]demand // The batches without an answer, the oldest first.
	answered int64      // Batches.
	opened   bool
	draining bool // The server wants the call to end.
	closed   bool // Nothing more is sent.
}

// consumeFrame is what came: a response or, as the last, why the call ended, io.EOF
// where that was in good order.
type consumeFrame struct {
	response *tidingsv1.ConsumeResponse
	err      error
}

// openConsumeCall begins a call, which ends with ctx. held are the leases that the
// request names.
func openConsumeCall(ctx context.Context, calls calls, open *tidingsv1.ConsumeOpen, held []*lease) *consumeCall {
	ctx, cancel := context.WithCancelCause(ctx)
	c := &consumeCall{
		ctx: ctx, cancel: cancel, held: held,
		frames: make(chan consumeFrame), ready: make(chan struct{}, 1), outbox: make(chan *tidingsv1.ConsumeRequest, 1),
	}
	c.listen(open.GetHeartbeatInterval().AsDuration())
	c.outbox <- &tidingsv1.ConsumeRequest{Request: &tidingsv1.ConsumeRequest_Open{Open: open}}
	c.tasks.Go(func() {
		err := c.exchange(calls)
		if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
			err = cause
		}
		c.frames <- consumeFrame{err: err}
	})
	return c
}

// listen sets the heartbeat interval, three of which without a frame are silence.
func (c *consumeCall) listen(heartbeat time.Duration) {
	if c.quiet != nil {
		c.quiet.Stop()
	}
	c.silence = 3 * heartbeat
	c.quiet = time.NewTimer(c.silence)
}

// exchange opens the stream and receives until the call ends.
func (c *consumeCall) exchange(calls calls) error {
	stream, err := calls.consume(c.ctx)
	if err != nil {
		return err
	}
	c.tasks.Go(func() {
		if err := c.send(stream); err != nil {
			c.cancel(err)
		}
	})
	for {
		response, err := stream.Recv()
		if err != nil {
			return err
		}
		c.frames <- consumeFrame{response: response}
	}
}

func (c *consumeCall) send(stream duplex[tidingsv1.ConsumeRequest, tidingsv1.ConsumeResponse]) error {
	for request := range c.outbox {
		err := stream.Send(request)
		if errors.Is(err, io.EOF) {
			return nil // The call has ended, and the receiver is told why.
		}
		if err != nil {
			return err
		}
		c.ready <- struct{}{}
	}
	return stream.CloseSend()
}

// incoming returns the channel of frames; nil: there is no call.
func (c *consumeCall) incoming() <-chan consumeFrame {
	if c == nil {
		return nil
	}
	return c.frames
}

// silent returns the channel that has a value when the connection is taken for dead.
func (c *consumeCall) silent() <-chan time.Time {
	if c == nil {
		return nil
	}
	return c.quiet.C
}

// room returns the channel that has a value when a request can be sent, or nil where
// nothing is to be sent.
func (c *consumeCall) room(pending bool) <-chan struct{} {
	if c == nil || !c.opened || c.closed || !pending || len(c.sent) >= maxUnanswered {
		return nil
	}
	return c.ready
}

// settle sends demands. The caller has taken a value from ready.
func (c *consumeCall) settle(demands []demand) {
	if len(demands) == 0 {
		// The leases have gone since. The room in outbox is still there.
		c.ready <- struct{}{}
		return
	}
	c.sent = append(c.sent, demands)
	c.outbox <- &tidingsv1.ConsumeRequest{Request: &tidingsv1.ConsumeRequest_Settle{Settle: &tidingsv1.SettlementBatch{Settlements: settlements(demands)}}}
}

// close ends the client's side, after what was sent. The call goes on until the
// server has answered that.
func (c *consumeCall) close() {
	if c.closed {
		return
	}
	c.closed = true
	close(c.outbox)
}

// end waits for the goroutines of a call that has ended, and returns the demands
// without an answer.
func (c *consumeCall) end() []demand {
	c.cancel(nil)
	c.close()
	c.quiet.Stop()
	c.tasks.Wait()
	var unanswered []demand
	for _, demands := range c.sent {
		unanswered = append(unanswered, demands...)
	}
	return unanswered
}
