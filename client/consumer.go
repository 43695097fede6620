package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// Delivery is an event that is leased to the consumer: the event with its place in
// the topic, the delivery attempt, and the reason of the last nack. The consumer
// settles it. It shares memory with others, as an [Event] does.
type Delivery = tidingsv1.Delivery

// Consumer consumes the events of a subscription; see [Consumer.Run].
type Consumer struct {
	calls        calls
	subscription string
	options      ConsumerOptions
}

// ConsumerOptions are how a consumer works. The zero value of each field has a
// default.
type ConsumerOptions struct {
	// Concurrency is how many handlers run at a time. 0: 1, so that one event is
	// handled after another. Where the subscription is ordered by key, no two events
	// of a key are handled at a time, whatever this is, and a slow one holds up its
	// key alone. Where it is ordered in total, leave it at 1.
	Concurrency int
	// Window is how many events are leased to this consumer at most: those that are
	// handled, that wait for a handler, and whose settlement has no answer yet. What
	// waits here can't be handled by another consumer, so where handlers take
	// seconds, set it to Concurrency. The server may grant less. 0: four times
	// Concurrency, at least 16.
	Window int
	// WindowBytes bounds the size of the same events. 0: 8 MiB.
	WindowBytes int64
	// HandlerTimeout is how long a handler may take: until then the deadline of its
	// event is extended, and then its context ends. 0: 1 hour.
	HandlerTimeout time.Duration
	// DrainTimeout is how long handlers may go on when Run ends; then their contexts
	// end. 0: 30 seconds.
	DrainTimeout time.Duration
	// IdleTimeout ends Run without an error when no event has come for so long and
	// all are settled: for a job that handles what there is. 0: it never does.
	IdleTimeout time.Duration
	// Trace is told what becomes of calls and settlements, for metrics and tests.
	Trace ConsumerTrace
	// Tracer makes the spans of handlers and of settlements. Nil: nothing is traced.
	Tracer Tracer
	// Logger is told of lost connections, of events that couldn't be settled, and of
	// panics of handlers. Nil: [slog.Default].
	Logger *slog.Logger
}

// ConsumerTrace are functions that a consumer calls, one at a time. They must not
// block. A nil one is not called.
type ConsumerTrace struct {
	// Opened is called when the server has opened a call.
	Opened func()
	// Reconnecting is called when a call has ended with err, io.EOF where the server
	// ended it in good order. The next one follows within the delay.
	Reconnecting func(err error, delay time.Duration)
	// Settled is called with the result of a settlement. Where the result is UNKNOWN,
	// the settlement is sent again after the delay, which is 0 otherwise. The
	// settlement is nil where the lease was lost, or settled by another consumer,
	// before its handler returned.
	Settled func(delivery *Delivery, settlement *tidingsv1.Settlement, result *tidingsv1.SettlementResult, delay time.Duration)
}

// ErrLeaseLost is the cause of a handler's context that ended because the event
// isn't leased to this consumer any more: it is delivered again, or was settled by
// another consumer. See [context.Cause].
var ErrLeaseLost = errors.New("the lease of the event is lost")

// UnsettledError says that Run ended before the server had answered all settlements,
// or before all handlers had returned. The events are delivered again after their
// deadline, except those whose settlement was applied nevertheless.
type UnsettledError struct {
	// Events is how many.
	Events int
	// Err is why Run ended. Nil: its context ended.
	Err error
}

// Error says how many events are unsettled, and why.
func (e *UnsettledError) Error() string {
	text := fmt.Sprintf("%d events may be unsettled", e.Events)
	if e.Err != nil {
		text = e.Err.Error() + "; " + text
	}
	return text
}

// Unwrap returns why Run ended.
func (e *UnsettledError) Unwrap() error { return e.Err }

// Consumer returns a consumer of a subscription, which must exist when it runs.
func (c *Client) Consumer(subscription string, options ConsumerOptions) *Consumer {
	return &Consumer{calls: c.calls, subscription: subscription, options: options}
}

// Run calls the handlers with the subscription's events, each with those of its type,
// and settles the events by what the handlers return; see [Handle]. An event that no
// handler takes is retried by the subscription's retry policy, as a failed one is: in
// a rolling update a newer program may take it. [HandleAny] decides otherwise.
//
// While a handler runs, the deadline of its event is extended. When a connection is
// lost, or says nothing for 15 seconds, Run connects again, with exponential back-off,
// and keeps what it has: handlers go on, and their events are settled on the next
// connection. A handler whose event was lost meanwhile has its context ended with
// [ErrLeaseLost].
//
// Run returns nil when ctx ends. No handler is called from then on, and what was not
// begun is released, so that other consumers get it at once. Handlers that run have
// ConsumerOptions.DrainTimeout to return, and 10 seconds more from when their contexts
// ended; then the settlements have 10 seconds. What isn't settled by then is an
// [UnsettledError].
//
// Run ends in the same way with an error that another call wouldn't mend by the
// catalogue, such as SUBSCRIPTION_NOT_FOUND or PERMISSION_DENIED. Any number of calls
// of Run may be made, at the same time too: they share the events.
func (c *Consumer) Run(ctx context.Context, handlers ...Handler) error {
	handle, err := route(handlers)
	if err != nil {
		return err
	}
	options, err := c.options.complete()
	if err != nil {
		return err
	}
	return newConsumerRun(c.calls, c.subscription, options, handle).run(ctx)
}

// complete returns the options with their defaults, or which of them is wrong.
func (o ConsumerOptions) complete() (ConsumerOptions, error) {
	for _, option := range []struct {
		name  string
		value int64
		limit int64
	}{
		{"Concurrency", int64(o.Concurrency), math.MaxInt32},
		{"Window", int64(o.Window), math.MaxInt32},
		{"WindowBytes", o.WindowBytes, math.MaxInt64},
		{"HandlerTimeout", int64(o.HandlerTimeout), math.MaxInt64},
		{"DrainTimeout", int64(o.DrainTimeout), math.MaxInt64},
		{"IdleTimeout", int64(o.IdleTimeout), math.MaxInt64},
	} {
		if option.value < 0 || option.value > option.limit {
			return o, fmt.Errorf("ConsumerOptions.%s: %d is not between 0 and %d", option.name, option.value, option.limit)
		}
	}
	o.Concurrency = cmp.Or(o.Concurrency, 1)
	o.Window = cmp.Or(o.Window, max(min(4*o.Concurrency, math.MaxInt32), 16))
	o.HandlerTimeout = cmp.Or(o.HandlerTimeout, time.Hour)
	o.DrainTimeout = cmp.Or(o.DrainTimeout, 30*time.Second)
	o.Logger = cmp.Or(o.Logger, slog.Default())
	if o.Trace.Opened == nil {
		o.Trace.Opened = func() {}
	}
	if o.Trace.Reconnecting == nil {
		o.Trace.Reconnecting = func(error, time.Duration) {}
	}
	if o.Trace.Settled == nil {
		o.Trace.Settled = func(*Delivery, *tidingsv1.Settlement, *tidingsv1.SettlementResult, time.Duration) {}
	}
	return o, nil
}
