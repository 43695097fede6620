package delivery

import (
	"context"
	"errors"
	"time"

	"example.com/tidings/server/internal/engine"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// dispatch leases what there is to the sessions that wait, in the order in which
// they came to wait, and replies to those that have waited long enough.
func (o *owner) dispatch(now time.Time) error {
	if o.delivers() && !o.feed.running() && len(o.sessions.waiting) > 0 && !now.Before(o.feed.after) {
		o.startFeed()
	}
	waiting := o.sessions.waiting
	kept := waiting[:0]
	more := o.delivers()
	for i, p := range waiting {
		s := o.sessions.named[p.session]
		if s == nil {
			o.outbox.refuse(p.call, o.sessionError())
			continue
		}
		if p.call.ctx.Err() != nil {
			continue // Nobody waits for the reply.
		}
		if s.resized {
			s.resized = false
			o.outbox.reply(p.call, &response{window: s.window})
			continue
		}
		if more && o.topic != nil {
			b := &batchRun{owner: o, session: s, limits: p.leaseRequest, now: now, refs: s.unsent[:0]}
			var err error
			if more, err = b.fill(); err != nil {
				kept = append(kept, waiting[i:]...)
				o.sessions.waiting = kept
				return err
			}
			if b.count > 0 {
				s.unsent = b.refs
				o.outbox.reply(p.call, &response{deliveries: b.encoded})
				continue
			}
		}
		switch {
		case o.topic == nil:
			o.outbox.refuse(p.call, engine.ErrTopicNotFound)
		case o.givesUp(p, s, now):
			o.outbox.reply(p.call, new(response))
		default:
			kept = append(kept, p)
		}
	}
	clear(waiting[len(kept):])
	o.sessions.waiting = kept
	return nil
}

// scanTimeout bounds how long a Pull waits for the feed, beyond its own wait.
const scanTimeout = 5 * time.Second

// givesUp reports whether the reply is that there is nothing. A Pull is due what
// the topic holds when its wait is over, though the feed may only just have
// begun.
func (o *owner) givesUp(p *pendingLease, s *session, now time.Time) bool {
	switch {
	case p.upTo > 0:
		return !o.seeks() || o.passed(p.upTo) || !now.Before(p.until)
	case now.Before(p.until):
		return false
	case !s.once || !o.seeks():
		return true
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.hub.writeTimeout)
	defer cancel()
	state, err := o.hub.engine.State(ctx, o.topic)
	if err != nil || state.First == state.End || o.passed(state.End) {
		return true
	}
	p.upTo, p.until = state.End, now.Add(scanTimeout)
	return false
}

// seeks reports whether an event that the topic holds could be delivered next.
func (o *owner) seeks() bool { return o.delivers() && o.machine.CanAdmit() }

// passed reports whether the position is at a sequence, or past it.
func (o *owner) passed(sequence int64) bool { return o.machine.Position() >= sequence }

// startFeed has events read from the position on.
func (o *owner) startFeed() {
	o.feed.start(&feedReader{
		engine:   o.hub.engine,
		topic:    o.topic,
		matcher:  o.matcher,
		byKey:    o.subscription.Config.GetOrdering() == tidingsv1.Ordering_ORDERING_KEY,
		position: o.machine.Position(),
		from:     o.machine.NotBefore().AsTime(),
	}, &o.hub.ended)
}

// feedFailed starts the feed anew a little later, or notes that the topic is gone.
func (o *owner) feedFailed(err error) error {
	o.feed.stop()
	if errors.Is(err, engine.ErrTopicNotFound) {
		return o.reconfigure()
	}
	o.log.Warn("reading the topic", "error", err)
	o.feed.after = time.Now().Add(feedRetry)
	return nil
}
