package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/internal/catalogue"
)

const (
	// consumeHeartbeat is how often the server is to say that a call is alive.
	consumeHeartbeat = 5 * time.Second
	// The delay before a call is made again doubles from the first to the last.
	firstDelay = 250 * time.Millisecond
	lastDelay  = 10 * time.Second
	// settleWithin is how long a call of Settle may take, and the last settlements when
	// Run ends, and how long handlers have to return once their contexts have ended.
	settleWithin = 10 * time.Second
	// defaultAckDeadline stands in for one that the server doesn't name.
	defaultAckDeadline = 30 * time.Second
)

// errSilent ends a call on which nothing came, not even heartbeats.
var errSilent = errors.New("the server is silent")

// consumerRun is one call of Consumer.Run. Its goroutine is that of run, to which calls
// report; handlers that have returned take what is next themselves. The mutex guards all
// that changes.
type consumerRun struct {
	calls        calls
	subscription string
	options      ConsumerOptions
	handle       func(ctx context.Context, delivery *Delivery) error

	until    context.Context //nolint:containedctx // Of Run.
	life     context.Context //nolint:containedctx // Of the calls, which outlive that of Run: see run.
	handlers context.Context //nolint:containedctx // Of the handlers.
	abort    context.CancelFunc
	wake     chan struct{} // Tells run that a handler has changed something.

	mu       sync.Mutex
	leases   leases
	call     *consumeCall // nil: there is none now.
	running  int          // Handlers.
	sending  bool         // Run sends when it can, without being woken.
	settling bool         // A call of Settle is under way.
	settled  chan settleAnswer
	deadline time.Duration // That the server gives, and that is asked for again.

	// What is waited for; nil: not now.
	reconnecting, extending, repeating, idling, draining, givingUp <-chan time.Time
	// The next delays before connecting and before settling again.
	reconnectDelay, repeatDelay time.Duration

	stopped   bool  // Nothing more is begun.
	hopeless  bool  // What isn't settled by now won't be.
	abandoned bool  // The handlers that run have had their time.
	cause     error // Why it stopped; nil: because it was to.
}

// settleAnswer is what became of a call of Settle.
type settleAnswer struct {
	demands []demand
	results []*tidingsv1.SettlementResult
	err     error
}

func newConsumerRun(calls calls, subscription string, options ConsumerOptions, handle func(context.Context, *Delivery) error) *consumerRun {
	return &consumerRun{
		calls: calls, subscription: subscription, options: options, handle: handle,
		leases: newLeases(), deadline: defaultAckDeadline, reconnectDelay: firstDelay, repeatDelay: firstDelay,
		wake: make(chan struct{}, 1), settled: make(chan settleAnswer, 1),
	}
}

// run consumes until there is a reason to stop and everything that came has been
// settled.
func (r *consumerRun) run(ctx context.Context) error {
	// The calls and the handlers outlive ctx for as long as it takes to settle what is
	// in flight.
	var cancel context.CancelFunc
	r.life, cancel = context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	r.handlers, r.abort = context.WithCancel(context.WithoutCancel(ctx))
	defer r.abort()
	r.until = ctx
	r.mu.Lock()
	defer r.mu.Unlock()
	if ctx.Err() == nil {
		r.connect()
	}
	ended := ctx.Done()
	for {
		if ctx.Err() != nil {
			ended = nil
			r.stop(nil)
		}
		r.begin()
		r.endDraining()
		r.settleDirectly()
		r.watchIdleness()
		if r.done() {
			break
		}
		r.await(ended)
	}
	cancel()
	if r.settling {
		<-r.settled // The call has just been cancelled.
	}
	if left := len(r.leases.held); left > 0 {
		return &UnsettledError{left, r.cause}
	}
	return r.cause
}

// await waits, without the mutex, until something has happened, and takes it.
func (r *consumerRun) await(ended <-chan struct{}) {
	frames, silent, room := r.call.incoming(), r.call.silent(), r.call.room(r.leases.pending())
	reconnecting, extending, repeating := r.reconnecting, r.extending, r.repeating
	idling, draining, givingUp := r.idling, r.draining, r.givingUp
	r.sending = room != nil
	r.mu.Unlock()
	happened := func() {}
	select {
	case <-ended:
	case <-r.wake:
	case f := <-frames:
		happened = func() { r.receive(f) }
	case <-silent:
		happened = func() { r.call.cancel(errSilent) }
	case <-room:
		happened = func() { r.call.settle(r.leases.next(r.deadline, time.Now())) }
	case a := <-r.settled:
		happened = func() { r.answer(a) }
	case <-reconnecting:
		happened = func() {
			r.reconnecting = nil
			r.connect()
		}
	case <-extending:
		happened = r.extend
	case <-repeating:
		happened = func() {
			r.repeating = nil
			r.leases.again()
		}
	case <-idling:
		happened = func() { r.stop(nil) }
	case <-draining:
		happened = func() {
			r.draining = nil
			r.abort()
			r.givingUp = time.After(settleWithin)
		}
	case <-givingUp:
		happened = r.giveUp
	}
	r.mu.Lock()
	r.sending = false
	happened()
}

// done reports whether nothing is left to do.
func (r *consumerRun) done() bool {
	return r.stopped && r.call == nil && (r.running == 0 || r.abandoned) && (r.hopeless || len(r.leases.held) == 0)
}

// finish takes what became of a delivery.
func (r *consumerRun) finish(one *lease, err error) {
	if panicked, ok := errors.AsType[*panicError](err); ok {
		r.options.Logger.Error("a handler panicked", "subscription", r.subscription,
			"sequence", one.delivery.GetRecorded().GetSequence(), "panic", panicked.value, "stack", string(panicked.stack))
	}
	r.leases.finish(one, err)
	if r.stopped && r.running == 0 {
		r.draining = nil
		r.givingUp = time.After(settleWithin)
	}
}

// connect begins a call that takes over what is in flight.
func (r *consumerRun) connect() {
	open := &tidingsv1.ConsumeOpen{
		Subscription:      r.subscription,
		Window:            &tidingsv1.FlowControl{MaxEvents: int32(r.options.Window), MaxBytes: r.options.WindowBytes},
		HeartbeatInterval: durationpb.New(consumeHeartbeat),
	}
	held := r.leases.inOrder()
	held = held[:min(len(held), maxHeldTokens)]
	for _, one := range held {
		open.HeldDeliveryTokens = append(open.HeldDeliveryTokens, one.token())
	}
	r.call = openConsumeCall(r.life, r.calls, open, held)
}

// disconnected says what to do when a call ended with err and there is no reason to
// stop.
func (r *consumerRun) disconnected(err error) {
	if permanent(err) {
		r.stop(err)
		return
	}
	asked, delay := RetryDelay(err), r.reconnectDelay
	r.reconnectDelay = min(2*delay, lastDelay)
	r.reconnecting = time.After(asked + jittered(delay))
	r.options.Logger.Warn("reconnecting", "subscription", r.subscription, "error", err, "within", asked+delay)
	r.options.Trace.Reconnecting(err, asked+delay)
}

// jittered returns a duration between a half of d and d, so that consumers don't come
// back all at once.
func jittered(d time.Duration) time.Duration {
	return d/2 + rand.N(d/2+1) //nolint:gosec // Nobody gains from guessing it.
}

// permanent reports whether no call can succeed until somebody changes something: by
// the catalogue or, where there is no reason, by the code. An end that nobody
// explained may be that of a connection.
func permanent(err error) bool {
	f := read(err)
	if retry := catalogue.Retry(f.reason); retry != tidingsv1.Retry_RETRY_UNSPECIFIED {
		return retry == tidingsv1.Retry_RETRY_NEVER
	}
	switch f.code {
	case codes.InvalidArgument, codes.NotFound, codes.FailedPrecondition, codes.PermissionDenied, codes.Unauthenticated, codes.Unimplemented:
		return true
	default:
		return false
	}
}

// extend asks for more time for what is in flight: for each delivery when between one
// and two thirds of its time have passed.
func (r *consumerRun) extend() {
	now, third := time.Now(), r.deadline/3
	r.extending = time.After(third)
	r.leases.extendBefore(now.Add(-third), now.Add(-r.options.HandlerTimeout))
}

// stop ends the run: nothing more is begun, and what waits is given back.
func (r *consumerRun) stop(cause error) {
	if r.stopped {
		return
	}
	r.stopped, r.cause = true, cause
	r.leases.releaseWaiting()
	r.reconnecting, r.idling = nil, nil
	if r.running > 0 {
		r.draining = time.After(r.options.DrainTimeout)
	} else {
		r.givingUp = time.After(settleWithin)
	}
	if r.call != nil {
		r.call.close()
	}
}

// giveUp ends what takes too long: the handlers and the call, and then, when Settle had
// its time, the settling.
func (r *consumerRun) giveUp() {
	r.givingUp = nil
	r.abandoned = true
	if r.call == nil {
		r.hopeless = true
		return
	}
	r.call.cancel(nil)
	r.givingUp = time.After(settleWithin)
}

// watchIdleness waits for idleness while nothing is in flight.
func (r *consumerRun) watchIdleness() {
	switch {
	case r.options.IdleTimeout == 0 || r.stopped || r.call == nil || !r.call.opened || len(r.leases.held) > 0 || r.running > 0:
		r.idling = nil
	case r.idling == nil:
		r.idling = time.After(r.options.IdleTimeout)
	}
}
