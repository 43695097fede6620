package consume

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"time"

	"example.com/tidings/client"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/command"
	"example.com/tidings/server/internal/guard"
)

// handler deals with events. It may be asked to deal with several at a time.
type handler interface {
	// handle deals with an event. What it returns settles the event as the error of
	// a handler of the client does. failed says that no event can be dealt with any
	// more. When ctx ends, what hasn't been begun is released and what has is
	// finished.
	handle(ctx context.Context, delivery *tidingsv1.Delivery) (settled, failed error)
	// abort ends what is being dealt with.
	abort()
}

// consumption is one run of `tidings consume`.
type consumption struct {
	client       *client.Client
	console      *command.Console
	handler      handler
	subscription string
	options      client.ConsumerOptions
	limit        int64          // How many to take; 0: no bound.
	signals      chan os.Signal // Those that end ctx, the first one too. nil: they aren't for this run.

	dealing context.Context //nolint:containedctx // Of the handlers: it ends when what is waiting is released.
	fail    context.CancelCauseFunc
	finish  context.CancelFunc // Ends the taking of events alone.
	taken   atomic.Int64
	running atomic.Int64 // Handlers.

	connected bool // There was an open call at some time.
	tally     settlementTally
}

// run consumes until there is a reason to stop and everything that came has been
// settled or released, and says how that went. ctx interrupts it; a second signal
// ends also what is being dealt with.
func (c *consumption) run(ctx context.Context) error {
	c.dealing, c.fail = context.WithCancelCause(ctx)
	defer c.fail(nil)
	taking, finish := context.WithCancel(c.dealing)
	defer finish()
	c.finish = finish
	// A command takes the time that it takes.
	c.options.HandlerTimeout, c.options.DrainTimeout = math.MaxInt64, math.MaxInt64
	c.options.Trace = client.ConsumerTrace{
		Opened:       func() { c.connected = true },
		Reconnecting: c.reconnecting,
		Settled:      c.settled,
	}
	c.options.Logger = slog.New(slog.DiscardHandler)

	ended, watched := make(chan struct{}), make(chan error)
	guard.Go(func() error { return c.watch(ctx, ended) }, func(err error) { watched <- err })
	err := c.client.Consumer(c.subscription, c.options).Run(taking, client.HandleAny(c.handle))
	close(ended)
	return c.conclude(ctx, errors.Join(err, <-watched))
}

// watch says that an interruption waits for commands, and ends these at the second
// signal.
func (c *consumption) watch(ctx context.Context, ended <-chan struct{}) error {
	interrupted := ctx.Done()
	for seen := 0; ; {
		select {
		case <-interrupted:
			interrupted = nil
			if running := c.running.Load(); running > 0 && c.signals != nil {
				c.console.Printf("interrupted: waiting for %s. Interrupt again to end it", command.Count(running, "command"))
			}
		case <-c.signals:
			seen++
			if seen == 2 {
				// A third one ends the process.
				signal.Stop(c.signals)
				c.handler.abort()
			}
		case <-ended:
			return nil
		}
	}
}

// handle deals with an event, within the limit.
func (c *consumption) handle(_ context.Context, delivery *client.Delivery) error {
	taken := c.taken.Add(1)
	switch {
	case c.limit > 0 && taken > c.limit:
		return client.Release(0, nil)
	case taken == c.limit:
		c.finish()
	}
	c.running.Add(1)
	defer c.running.Add(-1)
	settled := client.Release(0, nil)
	if err := guard.Do(func() (failed error) {
		settled, failed = c.handler.handle(c.dealing, delivery)
		return failed
	}); err != nil {
		c.fail(err)
	}
	return settled
}

// reconnecting says that a call has ended. The first one has to succeed.
func (c *consumption) reconnecting(err error, delay time.Duration) {
	if errors.Is(err, io.EOF) {
		err = errors.New("the server has ended the call")
	}
	if !c.connected {
		c.fail(err)
		return
	}
	c.console.Printf("%s\nreconnecting within %s", command.Describe(err), delay)
}

// settled counts what became of a delivery, and says it where that isn't what was to
// be.
func (c *consumption) settled(delivery *client.Delivery, settlement *tidingsv1.Settlement, result *tidingsv1.SettlementResult, delay time.Duration) {
	what := ""
	switch result.GetStatus() {
	case tidingsv1.SettlementStatus_SETTLEMENT_STATUS_APPLIED, tidingsv1.SettlementStatus_SETTLEMENT_STATUS_ALREADY_APPLIED:
		if settlement == nil {
			what = "settled by somebody else"
			break
		}
		c.tally.add(settlement)
		if result.GetStatus() == tidingsv1.SettlementStatus_SETTLEMENT_STATUS_ALREADY_APPLIED {
			what = "settled before the connection was lost"
		}
	case tidingsv1.SettlementStatus_SETTLEMENT_STATUS_UNKNOWN:
		what = "sent again in " + delay.String()
	default:
		c.tally.lost++
		what = "not settled"
		if settlement == nil {
			what = "no longer in flight"
		}
		if result.GetStatus() == tidingsv1.SettlementStatus_SETTLEMENT_STATUS_LEASE_LOST {
			what += ": its deadline passed, or the subscription was moved"
		} else if result.GetMessage() != "" {
			what += ": " + command.Printable(result.GetMessage())
		}
	}
	if what != "" {
		c.console.Printf("event %d, attempt %d: %s: %s", delivery.GetRecorded().GetSequence(), delivery.GetAttempt(),
			strings.TrimPrefix(result.GetStatus().String(), "SETTLEMENT_STATUS_"), what)
	}
}

// conclude says how the run went that ended with err, and returns the error with
// which the command ends.
func (c *consumption) conclude(ctx context.Context, err error) error {
	if c.connected {
		c.console.Printf("%s", &c.tally)
	}
	var left error
	if unsettled, ok := errors.AsType[*client.UnsettledError](err); ok {
		left = fmt.Errorf("%s: whether settled is not known; what isn't is delivered again after its deadline", command.Count(int64(unsettled.Events), "event"))
		err = unsettled.Err
	}
	cause := context.Cause(c.dealing)
	if ctx.Err() != nil && errors.Is(cause, context.Cause(ctx)) {
		cause = command.ErrInterrupted
	}
	if cause != nil && err != nil {
		c.console.Printf("settling what is in flight: %s", command.Describe(err))
	}
	if cause == nil {
		cause = err
	}
	switch {
	case left == nil:
		return cause
	case cause == nil:
		return left
	case errors.Is(cause, command.ErrInterrupted):
		return command.WithStatus(command.StatusInterrupted, fmt.Errorf("interrupted: %w", left))
	}
	c.console.Printf("%s", left)
	return cause
}

// settlementTally is what became of the deliveries of a run.
type settlementTally struct {
	acknowledged, retried, deadLettered, released, lost int64
}

func (t *settlementTally) add(s *tidingsv1.Settlement) {
	switch {
	case s.GetAck() != nil:
		t.acknowledged++
	case s.GetNack().GetKind() == tidingsv1.NackKind_NACK_KIND_DEAD_LETTER:
		t.deadLettered++
	case s.GetNack().GetKind() == tidingsv1.NackKind_NACK_KIND_RELEASE:
		t.released++
	default:
		t.retried++
	}
}

func (t *settlementTally) String() string {
	parts := []string{command.Count(t.acknowledged, "event") + " acknowledged"}
	for _, part := range []struct {
		n    int64
		what string
	}{
		{t.retried, "retried"},
		{t.deadLettered, "dead-lettered"},
		{t.released, "released"},
		{t.lost, "lost to their deadline"},
	} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.what))
		}
	}
	return strings.Join(parts, ", ")
}
