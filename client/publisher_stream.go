package client

import (
	"context"
	"errors"
	"io"
	"runtime"
	"time"

	"google.golang.org/grpc/codes"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// errUnanswered ends a call whose server takes batches and answers none.
var errUnanswered = errors.New("the server doesn't answer")

// infoTimeout is how long the server has to say its limits.
const infoTimeout = 10 * time.Second

type publishStream = duplex[tidingsv1.PublishStreamRequest, tidingsv1.PublishStreamResponse]

// run is the writer: it makes calls and sends batches until the Publisher is closed and
// has sent all, or the context ends.
func (p *Publisher) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for p.awaitBatch(ctx, timer) {
		err := p.call(ctx, timer)
		p.mu.Lock()
		if ctx.Err() == nil {
			p.queue.lost(err, time.Now())
		}
		p.mu.Unlock()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue.close()
	p.queue.dropped = p.queue.drop(ErrClosed)
}

// awaitBatch waits until there is something to send, and it's time to. It reports
// whether there will be.
func (p *Publisher) awaitBatch(ctx context.Context, timer *time.Timer) bool {
	for ctx.Err() == nil {
		p.mu.Lock()
		q := &p.queue
		pending, wait, over := q.pending(), time.Until(q.retryAt), q.closed && q.idle()
		p.mu.Unlock()
		switch {
		case over:
			return false
		case pending && wait <= 0:
			return true
		case !pending:
			wait = 0
		}
		_, _ = p.wait(ctx, timer, wait, nil) // There is no call.
	}
	return false
}

// wait waits until something changes, a time has passed unless it's 0, or the call ends;
// where there is none, until the context does. It reports whether the call did, and why.
func (p *Publisher) wait(ctx context.Context, timer *time.Timer, most time.Duration, ended <-chan error) (over bool, why error) {
	var passed <-chan time.Time
	if most > 0 {
		timer.Reset(most)
		passed = timer.C
	}
	done := ctx.Done()
	if ended != nil {
		done = nil // The call ends with it.
	}
	select {
	case <-p.wake:
	case <-passed:
	case <-done:
	case why := <-ended:
		return true, why
	}
	return false, nil
}

// call makes a call and sends batches on it until it ends. It returns why, or nil if
// the Publisher is closed and all is answered.
func (p *Publisher) call(ctx context.Context, timer *time.Timer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err := p.exchange(ctx, cancel, timer)
	if err != nil && errors.Is(context.Cause(ctx), errUnanswered) {
		return errUnanswered
	}
	return err
}

// exchange is call with a context of its own, which cancel ends.
func (p *Publisher) exchange(ctx context.Context, cancel context.CancelCauseFunc, timer *time.Timer) error {
	if err := p.learnLimits(ctx); err != nil {
		return err
	}
	stream, err := p.calls.publishStream(ctx)
	if err != nil {
		return err
	}
	// It runs while something is in flight, and begins anew with each answer.
	patience := time.AfterFunc(p.options.AnswerTimeout, func() { cancel(errUnanswered) })
	patience.Stop()
	defer patience.Stop()
	received := make(chan error, 1)
	go func() {
		received <- p.receive(stream, patience)
		cancel(nil) // So that sending ends too.
	}()
	for {
		p.mu.Lock()
		b, wait := p.queue.next(time.Now())
		over := b == nil && p.queue.closed && p.queue.idle()
		if b != nil && len(p.queue.flight) == 1 {
			patience.Reset(p.options.AnswerTimeout)
		}
		p.mu.Unlock()
		switch {
		case over:
			_ = stream.CloseSend() // What is wrong with the call shows when it's received.
			if err := <-received; !errors.Is(err, io.EOF) {
				return err
			}
			return nil
		case b == nil:
			if over, why := p.wait(ctx, timer, wait, received); over {
				return why
			}
			// Callers that an answer has woken put what they have next into this batch.
			runtime.Gosched()
			continue
		}
		if err := stream.Send(b.request); err != nil {
			return p.sendError(err, cancel, received)
		}
	}
}

// sendError returns why a call ended on which nothing can be sent.
func (p *Publisher) sendError(err error, cancel context.CancelCauseFunc, received <-chan error) error {
	if errors.Is(err, io.EOF) {
		return <-received
	}
	cancel(nil)
	if said := <-received; Reason(said) != "" || read(said).code != codes.Canceled {
		return said // And not that the call was cancelled, just now.
	}
	return err
}

// learnLimits asks for the limits of the server. A server that doesn't tell them has none
// that the Publisher keeps to.
func (p *Publisher) learnLimits(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, infoTimeout)
	defer cancel()
	info, err := p.calls.serverInfo(ctx)
	if err != nil && passes(err) {
		return err
	}
	limits := publishLimits{
		requestBytes: int(info.GetLimits().GetMaxRequestBytes()),
		events:       int(info.GetLimits().GetMaxEventsPerRequest()),
	}
	if each := int(info.GetLimits().GetMaxEventsPerDedupeEventRequest()); each > 0 {
		limits.events = min(limits.events, each)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue.limits = limits
	return nil
}

// receive takes the answers until the call ends, and returns why it did. patience is
// what ends it where there are none.
func (p *Publisher) receive(stream publishStream, patience *time.Timer) error {
	for {
		response, err := stream.Recv()
		if err != nil {
			return err
		}
		p.mu.Lock()
		err = p.queue.answer(response, time.Now())
		if len(p.queue.flight) > 0 {
			patience.Reset(p.options.AnswerTimeout)
		} else {
			patience.Stop()
		}
		p.mu.Unlock()
		if err != nil {
			return err
		}
		p.signal()
	}
}

// passes reports whether a call that ended with an error may be made again.
func passes(err error) bool {
	return Retryable(err) || errors.Is(err, io.EOF) || errors.Is(err, errUnanswered) || errors.Is(err, context.DeadlineExceeded) ||
		Reason(err) == "" && read(err).code == codes.DeadlineExceeded // An interceptor's, or a proxy's.
}

// isTooLarge reports whether a call ended because of the size of a message. gRPC's
// libraries and proxies give no reason.
func isTooLarge(err error) bool {
	f := read(err)
	return f.reason == "REQUEST_TOO_LARGE" || f.reason == "" && f.code == codes.ResourceExhausted
}
