package consume

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"time"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/command"
	"example.com/tidings/server/internal/guard"
)

// handler deals with events. It may be asked to deal with several at a time.
type handler interface {
	// handle deals with an event and returns its settlement, without the token.
	// An error says that no event can be dealt with any more; the settlement is
	// still that of this one. When ctx ends, what hasn't been begun is given back
	// and what has is finished.
	handle(ctx context.Context, delivery *tidingsv1.Delivery) (*tidingsv1.Settlement, error)
	// abort ends what is being dealt with.
	abort()
}

// consumption is one run of `tidings consume`. One goroutine, that of run, holds
// its state; sessions, handlers and calls of Settle report to it.
type consumption struct {
	client      *command.Client
	console     *command.Console
	handler     handler
	open        *tidingsv1.ConsumeOpen // Without held tokens.
	concurrency int                    // How many events may be dealt with at a time.
	limit       int64                  // How many to take; 0: no bound.
	idle        time.Duration          // For how long nothing may come; 0: no bound.
	signals     chan os.Signal         // Those that end ctx, the first one too. nil: they aren't for this run.

	calls     context.Context //nolint:containedctx // Of the calls, which outlive an interruption: see run.
	dealing   context.Context //nolint:containedctx // Of the handlers: it ends when what is waiting is given back.
	giveBack  context.CancelFunc
	leases    leases
	session   *session // nil: there is none now.
	finished  chan deed
	running   int // Handlers.
	answers   chan answer
	settling  bool // A call of Settle is under way.
	connected bool // There was an open session at some time.
	extension time.Duration

	// What is waited for; nil: not now.
	reconnecting, extending, repeating, idling, givingUp <-chan time.Time
	// The next waits before reconnecting and before settling again.
	reconnectWait, repeatWait time.Duration

	stopped  bool  // Nothing more is taken.
	hopeless bool  // What isn't settled by now won't be.
	cause    error // Why it stopped; nil: because it was to.

	taken int64
	tally settlementTally
}

// deed is what became of an event that was dealt with.
type deed struct {
	lease      *lease
	settlement *tidingsv1.Settlement
	err        error
}

// answer is what became of a call of Settle.
type answer struct {
	demands []demand
	results []*tidingsv1.SettlementResult
	err     error
}

// defaultAckDeadline stands in for one that the server doesn't name.
const defaultAckDeadline = 30 * time.Second

// run consumes until there is a reason to stop and everything that came has been
// settled or given back. ctx interrupts it; a second signal ends also what is
// being dealt with.
func (c *consumption) run(ctx context.Context) error {
	// The calls outlive an interruption for as long as it takes to settle what
	// is in hand.
	calls, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	c.calls = calls
	c.dealing, c.giveBack = context.WithCancel(context.WithoutCancel(ctx))
	defer c.giveBack()
	c.leases.held = make(map[string]*lease)
	c.finished, c.answers = make(chan deed), make(chan answer, 1)
	c.reconnectWait, c.repeatWait = command.FirstReconnect, command.FirstReconnect
	if err := c.connect(); err != nil {
		return err
	}
	interrupted, seen := ctx.Done(), 0
	for !c.done() {
		c.begin()
		var frames <-chan frame
		if c.session != nil {
			frames = c.session.frames
		}
		select {
		case <-interrupted:
			interrupted = nil
			c.interrupt()
		case <-c.signals:
			seen++
			if seen == 2 {
				c.abort()
			}
		case f := <-frames:
			c.receive(f)
		case <-c.session.room(c.leases.pending()):
			c.session.settle(c.leases.next(c.extension, time.Now()))
		case d := <-c.finished:
			c.finish(d)
		case a := <-c.answers:
			c.answered(a)
		case <-c.reconnecting:
			c.reconnecting = nil
			c.reconnect()
		case <-c.extending:
			c.extend()
		case <-c.repeating:
			c.repeating = nil
			c.leases.again()
		case <-c.idling:
			c.stop(nil)
		case <-c.givingUp:
			c.giveUp()
		}
		c.endDraining()
		c.settleDirectly()
		c.watchIdleness()
	}
	cancel()
	if c.settling {
		<-c.answers
	}
	return c.cause
}

// done reports whether nothing is left to do.
func (c *consumption) done() bool {
	return c.stopped && c.session == nil && c.running == 0 && (c.hopeless || len(c.leases.held) == 0)
}

// begin deals with what waits.
func (c *consumption) begin() {
	for c.running < c.concurrency {
		one := c.leases.take()
		if one == nil {
			return
		}
		c.running++
		c.deal(one)
	}
}

// deal deals with an event, beside the others.
func (c *consumption) deal(one *lease) {
	settlement := nack(tidingsv1.NackKind_NACK_KIND_RELEASE, "")
	guard.Go(func() error {
		made, err := c.handler.handle(c.dealing, one.delivery)
		settlement = made
		return err
	}, func(err error) { c.finished <- deed{one, settlement, err} })
}

// finish takes what became of an event.
func (c *consumption) finish(d deed) {
	c.running--
	c.leases.decide(d.lease, d.settlement)
	if d.err != nil {
		c.stop(d.err)
	}
	if c.stopped {
		c.givingUp = time.After(command.DrainTimeout)
	}
}

// connect opens a session that takes over what is in hand.
func (c *consumption) connect() (err error) {
	open := &tidingsv1.ConsumeOpen{Subscription: c.open.GetSubscription(), Window: c.open.GetWindow()}
	held := c.leases.inOrder()
	held = held[:min(len(held), maxHeldTokens)]
	for _, one := range held {
		open.HeldDeliveryTokens = append(open.HeldDeliveryTokens, one.token())
	}
	c.session, err = openSession(c.calls, c.client.Consumer, open, held)
	return err
}

func (c *consumption) reconnect() {
	if err := c.connect(); err != nil {
		c.disconnected(err)
	}
}

// disconnected says what to do when a session ended with err and there is no
// reason to stop.
func (c *consumption) disconnected(err error) {
	if errors.Is(err, io.EOF) {
		err = errEnded
	}
	if !c.connected || !command.MayPass(err) && !errors.Is(err, errEnded) {
		c.stop(err)
		return
	}
	c.console.Printf("%s\nreconnecting in %s", command.Describe(err), c.reconnectWait)
	c.reconnecting = time.After(c.reconnectWait)
	c.reconnectWait = min(2*c.reconnectWait, command.LastReconnect)
}

// errEnded stands for the end of a call that the server ended without an error.
var errEnded = errors.New("the server has ended the call")

// extend asks for more time for what is in hand: for each delivery when between
// one and two thirds of its time have passed.
func (c *consumption) extend() {
	third := c.extension / 3
	c.extending = time.After(third)
	c.leases.extendBefore(time.Now().Add(-third))
}

// interrupt stops the run on the user's behalf.
func (c *consumption) interrupt() {
	c.stop(command.ErrInterrupted)
	if c.running > 0 && c.signals != nil {
		c.console.Printf("interrupted: waiting for %s. Interrupt again to end it", command.Count(int64(c.running), "command"))
	}
}

// abort ends what is being dealt with.
func (c *consumption) abort() {
	c.stop(command.ErrInterrupted)
	// A third one ends the process.
	signal.Stop(c.signals)
	c.handler.abort()
	c.giveUp()
}

// stop ends the run: nothing more is taken. Without a cause, what has been taken
// is still dealt with; otherwise what waits is given back.
func (c *consumption) stop(cause error) {
	if cause != nil && c.cause == nil {
		c.cause = cause
		c.giveBack()
		c.leases.releaseWaiting()
	}
	if c.stopped {
		return
	}
	c.stopped = true
	c.reconnecting, c.idling = nil, nil
	c.givingUp = time.After(command.DrainTimeout)
	if c.session != nil {
		c.session.close()
	}
}

// giveUp ends what takes too long: first the session, then the settling.
func (c *consumption) giveUp() {
	c.givingUp = nil
	switch {
	case c.session != nil:
		c.session.cancel(nil)
		c.givingUp = time.After(command.DrainTimeout)
	case c.running == 0:
		c.hopeless = true
	}
}

// watchIdleness waits for idleness while there is nothing in hand.
func (c *consumption) watchIdleness() {
	switch {
	case c.idle == 0 || c.stopped || c.session == nil || !c.session.opened || len(c.leases.held) > 0 || c.running > 0:
		c.idling = nil
	case c.idling == nil:
		c.idling = time.After(c.idle)
	}
}
