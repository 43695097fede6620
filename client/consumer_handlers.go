package client

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"time"
)

// errHandlerEnded settles the event of a handler that ended its goroutine.
var errHandlerEnded = errors.New("the handler ended its goroutine")

// begin starts goroutines for what waits: each handles one delivery after another until
// none is left, so that quick handlers wake nobody.
func (r *consumerRun) begin() {
	for {
		one := r.next()
		if one == nil {
			return
		}
		go r.work(one)
	}
}

// next takes the next delivery to handle, or returns nil.
func (r *consumerRun) next() *lease {
	if r.stopped || r.until.Err() != nil || r.running >= r.options.Concurrency {
		return nil
	}
	now := time.Now()
	one := r.leases.take(now)
	if one == nil {
		return nil
	}
	r.running++
	one.begun, one.trace = now, noTrace{}
	one.context.begin(r.handlers, now.Add(r.options.HandlerTimeout))
	return one
}

// work handles deliveries, beginning with one. It doesn't hold the mutex.
func (r *consumerRun) work(one *lease) {
	for one != nil {
		one = r.attempt(one)
	}
}

// attempt calls the handler of a delivery, and returns the next one to handle.
func (r *consumerRun) attempt(one *lease) (next *lease) {
	err, returned := errHandlerEnded, false
	defer func() {
		if p := recover(); p != nil {
			err, returned = &panicError{p, debug.Stack()}, true
		}
		one.trace.Handled(err)
		next = r.handled(one, err)
		if !returned && next != nil { // The goroutine is ending.
			go r.work(next)
		}
	}()
	var ctx context.Context = &one.context
	if r.options.Tracer != nil {
		ctx, one.trace = r.options.Tracer.Handle(ctx, r.subscription, one.delivery)
	}
	err = r.handle(ctx, one.delivery)
	returned = true
	return nil
}

// handled takes what became of a delivery, and returns the next one to handle.
func (r *consumerRun) handled(one *lease, err error) (next *lease) {
	one.context.end(nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running--
	r.finish(one, err)
	next = r.next()
	if r.running == 0 || r.stopped || !r.sending && r.call.room(r.leases.pending()) != nil {
		r.signal()
	}
	return next
}

// signal has the goroutine of run look at what there is to do.
func (r *consumerRun) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// handlerContext is the context of a handler. What is dear in one, a timer and a place
// among the children of another, is made when the handler first asks for it.
type handlerContext struct {
	parent   context.Context //nolint:containedctx // It is a context.
	deadline time.Time

	mu     sync.Mutex
	made   context.Context //nolint:containedctx // It is this one.
	cancel context.CancelCauseFunc
	stop   context.CancelFunc
	ended  bool
	cause  error
}

var _ context.Context = (*handlerContext)(nil)

func (c *handlerContext) begin(parent context.Context, deadline time.Time) {
	c.parent, c.deadline = parent, deadline
}

// end ends the context for a cause; nil: the handler has returned.
func (c *handlerContext) end(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	c.ended, c.cause = true, cause
	if c.made != nil {
		c.cancel(cause)
		c.stop()
	}
}

func (c *handlerContext) get() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.made == nil {
		var parent context.Context
		parent, c.cancel = context.WithCancelCause(c.parent)
		c.made, c.stop = context.WithDeadline(parent, c.deadline)
		if c.ended {
			c.cancel(c.cause)
			c.stop()
		}
	}
	return c.made
}

func (c *handlerContext) Deadline() (deadline time.Time, ok bool) { return c.get().Deadline() }

func (c *handlerContext) Done() <-chan struct{} { return c.get().Done() }

func (c *handlerContext) Err() error { return c.get().Err() }

func (c *handlerContext) Value(key any) any { return c.get().Value(key) }
