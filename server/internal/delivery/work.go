package delivery

import (
	"context"
	"time"

	"example.com/tidings/server/internal/engine"
)

// work serves calls until the subscription is given up, deleted or another
// server's, or its journal can't be written.
func (o *owner) work() error {
	gone := o.hub.engine.SubscriptionGone(o.subscription)
	tick := time.NewTicker(housekeeping)
	defer tick.Stop()
	wake := time.NewTimer(0)
	defer wake.Stop()
	for {
		var batches <-chan *feedBatch
		if o.wanting() && o.feed.current == nil {
			batches = o.feed.batches // nil unless it runs.
		}
		select {
		case c := <-o.mailbox.calls:
			o.serve(c)
		case b := <-batches:
			o.feed.begin(b)
		case <-wake.C:
		case <-tick.C:
			if err := o.maintain(); err != nil {
				return err
			}
		case <-o.topicGone:
			if err := o.reload(); err != nil {
				return err
			}
		case <-o.typesChanged:
			if err := o.reconfigure(); err != nil {
				return err
			}
		case <-gone:
			return engine.ErrSubscriptionNotFound
		case <-o.hub.quit:
			return o.giveUp()
		}
		if err := o.turn(); err != nil {
			return err
		}
		wake.Reset(o.untilNext())
	}
}

// wanting reports whether new events could be delivered.
func (o *owner) wanting() bool {
	return len(o.sessions.waiting) > 0 && o.delivers() && o.machine.CanAdmit()
}

// turn serves the other calls that are there, decides, writes the journal and
// sends the replies.
func (o *owner) turn() error {
	for range turnCalls {
		select {
		case c := <-o.mailbox.calls:
			o.serve(c)
			continue
		default:
		}
		break
	}
	now := time.Now()
	leased := o.machine.Leased()
	o.machine.Expire(now.UnixMilli(), turnExpiries, o.sessions.credit)
	o.tally.expire(leased - o.machine.Leased())
	if err := o.dispatch(now); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.hub.writeTimeout)
	defer cancel()
	if err := o.write(ctx); err != nil {
		return err
	}
	o.tally.count(o.hub.metrics, o.subscription)
	o.outbox.send(&o.hub.ended)
	for _, s := range o.sessions.overdue(now) {
		o.forget(s)
	}
	o.sessions.liftBarriers()
	return o.fileDeadLetters()
}

// turnExpiries bounds the leases that end in a turn.
const turnExpiries = 2000

// An owner that waits longer than this for the storage ends: its callers make
// another one, which may have a better way to it. Where the storage is exclusive,
// only the server's own disk can hold a write up.
const (
	writeTimeout          = 3 * time.Second
	exclusiveWriteTimeout = 10 * time.Second
)

// untilNext is the time until there is something to do that nobody asks for.
func (o *owner) untilNext() time.Duration {
	if o.again {
		o.again = false
		return 0
	}
	now := time.Now()
	next := now.Add(time.Hour)
	if due, ok := o.machine.NextDue(now.UnixMilli()); ok {
		next = earlier(next, time.UnixMilli(due))
	}
	return max(o.sessions.next(next).Sub(now), 0)
}

func (o *owner) serve(c *call) {
	if c.request == nil {
		o.outbox.refuse(c, errUnknownRequest)
		return
	}
	c.request.serve(o, c, time.Now())
}

// maintain looks for what nobody told, and ends an owner that isn't needed.
func (o *owner) maintain() error {
	if err := o.reload(); err != nil {
		return err
	}
	now := time.Now()
	for _, s := range o.sessions.silent(now) {
		o.forget(s)
	}
	if len(o.sessions.named) > 0 {
		o.use(now)
		return nil
	}
	if idle := now.Sub(o.idleSince); idle < idleTime {
		return nil
	}
	return o.giveUp()
}

// use notes that the subscription is used.
func (o *owner) use(now time.Time) {
	o.usedAt = now.UnixMilli()
	o.idleSince = now
	o.machine.Used(o.usedAt)
}

// giveUp leaves a short journal to the next owner. What is waiting in this turn
// is refused by end.
func (o *owner) giveUp() error {
	ctx, cancel := context.WithTimeout(context.Background(), o.hub.writeTimeout)
	defer cancel()
	if err := o.write(ctx); err != nil {
		return err
	}
	o.outbox.sendReplies()
	if o.journal.grown() {
		if err := o.journal.compact(o.machine); err != nil {
			return err
		}
	}
	return errGivenUp
}
