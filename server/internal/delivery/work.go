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
		var batches <-chan *batch
		if o.wanting() && o.feed != nil && !o.feed.started() {
			batches = o.feed.batches
		}
		select {
		case c := <-o.mailbox:
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
	return len(o.waiting) > 0 && o.delivers() && o.machine.CanAdmit()
}

// delivers reports whether the subscription delivers at all.
func (o *owner) delivers() bool {
	return o.topic != nil && o.matcher != nil && !o.subscription.Config.GetPaused()
}

// turn serves the other calls that are there, decides, writes the journal and
// sends the replies.
func (o *owner) turn() error {
	for range turnCalls {
		select {
		case c := <-o.mailbox:
			o.serve(c)
			continue
		default:
		}
		break
	}
	now := time.Now()
	o.machine.Expire(now.UnixMilli(), turnExpiries, o.credit)
	if err := o.dispatch(now); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.hub.writeTimeout)
	defer cancel()
	if err := o.write(ctx); err != nil {
		return err
	}
	for _, r := range o.replies {
		r.send()
	}
	o.replies = o.replies[:0]
	for _, b := range o.backlogs {
		o.hub.ended.Go(b.run, b.failed)
	}
	o.backlogs = nil
	o.liftBarriers(now)
	return o.bury()
}

// turnExpiries bounds the leases that end in a turn.
const turnExpiries = 2000

// An owner that waits longer than this for the storage ends: its callers make
// another one, which may have a better way to it. What a lone server writes only
// its own disk can hold up.
const (
	writeTimeout      = 3 * time.Second
	aloneWriteTimeout = 10 * time.Second
	compactTimeout    = 10 * time.Second
)

// reply replies to a call once the journal is written.
func (o *owner) reply(c *call, r *response) {
	o.replies = append(o.replies, reply{c, r})
}

// refuse is reply, with one of ownerErrors.
func (o *owner) refuse(c *call, err error) { o.reply(c, &response{err: err}) }

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
	for _, p := range o.waiting {
		next = earlier(next, p.until)
	}
	for _, b := range o.barriers {
		next = earlier(next, b.until)
	}
	return max(next.Sub(now), 0)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func (o *owner) serve(c *call) {
	if c.request == nil {
		o.refuse(c, errUnknownRequest)
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
	o.forgetSilent(now)
	if len(o.sessions) > 0 {
		o.use(now)
		return nil
	}
	if idle := now.Sub(o.idleSince); idle < idleTime {
		return nil
	}
	return o.giveUp()
}

// reload takes note of what became of the subscription and its topic.
func (o *owner) reload() error {
	ctx, cancel := context.WithTimeout(context.Background(), o.hub.writeTimeout)
	defer cancel()
	present, err := o.hub.engine.Subscription(ctx, o.subscription.Name)
	if err != nil {
		return err
	}
	gone := false
	select {
	case <-o.topicGone:
		gone = true
	default:
	}
	if !gone && present.Revision <= o.subscription.Revision {
		return nil
	}
	return o.configure(ctx, present)
}

// reconfigure takes note of the topic and of the types that are in force now.
func (o *owner) reconfigure() error {
	ctx, cancel := context.WithTimeout(context.Background(), o.hub.writeTimeout)
	defer cancel()
	return o.configure(ctx, o.subscription)
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
	for _, r := range o.replies {
		r.send()
	}
	o.replies = nil
	if o.written > o.snapshotSize {
		if err := o.compact(); err != nil {
			return err
		}
	}
	return errGivenUp
}
