package delivery

import (
	"time"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/lease"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// The requests of a stream.

// attachRequest opens a session: a stream, or a Pull.
type attachRequest struct {
	session string // Random.
	window  *tidingsv1.FlowControl
	held    []lease.Ref // Count in the window, if they are leased.
	once    bool        // A Pull, which isn't counted as a consumer.

	principal string // See StreamConfig.
}

func (r *attachRequest) serve(o *owner, c *call, now time.Time) {
	switch {
	case o.topic == nil:
		o.outbox.refuse(c, engine.ErrTopicNotFound)
		return
	case o.matcher == nil:
		o.outbox.refuse(c, ErrFilter)
		return
	}
	o.use(now)
	s := o.sessions.open(r.session, r.once) // It is there where the reply to an earlier try was lost.
	s.window, s.principal, s.seen = r.window, r.principal, now
	response := &response{owner: o.name, ackDeadline: o.subscription.Config.GetAckDeadline().AsDuration()}
	for _, ref := range r.held {
		response.results = append(response.results, &tidingsv1.SettlementResult{Status: o.hold(s, ref, now)})
	}
	o.outbox.reply(c, response)
}

// hold makes a lease count in the window of a session.
func (o *owner) hold(s *session, ref lease.Ref, now time.Time) tidingsv1.SettlementStatus {
	status, credit := o.machine.Hold(ref, s.holder, now.UnixMilli())
	if status != tidingsv1.SettlementStatus_SETTLEMENT_STATUS_APPLIED {
		return status
	}
	o.sessions.credit(credit)
	if credit.Size == 0 { // Leased by an earlier owner.
		if e, err := o.cache.event(o.topic, ref.Sequence); err == nil {
			credit.Size = int32(len(e.raw))
			o.machine.SetSize(ref.Sequence, credit.Size)
		}
	}
	s.charge(credit.Size)
	return status
}

// leaseRequest asks for events. That it is made says that what was leased before
// has been sent. A session makes one at a time.
type leaseRequest struct {
	owner     string // The one that has the session.
	session   string
	number    int64 // Which request of the session it is, from 1.
	maxEvents int32
	maxBytes  int32         // The size of the reply, about.
	wait      time.Duration // For the first event. 0: not at all.
}

func (r *leaseRequest) serve(o *owner, c *call, now time.Time) {
	s := o.sessions.named[r.session]
	if s == nil {
		o.outbox.refuse(c, o.sessionError())
		return
	}
	o.use(now)
	s.seen, s.number, s.unsent = now, r.number, s.unsent[:0]
	o.sessions.wait(r, c, now.Add(r.wait))
}

// sessionError says why there is no session.
func (o *owner) sessionError() error {
	if o.topic == nil {
		return engine.ErrTopicNotFound
	}
	return ErrSession
}

// resizeRequest changes the window of a session.
type resizeRequest struct {
	session   string
	principal string // Who asks.
	window    *tidingsv1.FlowControl
}

func (r *resizeRequest) serve(o *owner, c *call, _ time.Time) {
	s := o.sessions.named[r.session]
	// A server of an earlier release doesn't say who.
	if s == nil || s.principal != "" && r.principal != "" && s.principal != r.principal {
		o.outbox.refuse(c, o.sessionError())
		return
	}
	s.window, s.resized = r.window, true
	o.outbox.reply(c, new(response))
}

// detachRequest ends a session. Its leases stay, but for those that weren't sent.
type detachRequest struct {
	session string
	sent    int64 // The replies up to the leaseRequest of this number were sent.
}

func (r *detachRequest) serve(o *owner, c *call, now time.Time) {
	if s := o.sessions.named[r.session]; s != nil {
		if s.number > r.sent {
			o.takeBack(s, now)
		}
		o.forget(s)
	}
	o.outbox.reply(c, new(response))
}

// takeBack releases what was leased to a session and never sent.
func (o *owner) takeBack(s *session, now time.Time) {
	for _, ref := range s.unsent {
		_, credit := o.machine.Settle(lease.Settlement{Ref: ref, Action: lease.Release}, now.UnixMilli())
		o.sessions.credit(credit)
	}
	s.unsent = nil
}

// forget ends a session. The feed ends with the last one.
func (o *owner) forget(s *session) {
	o.sessions.remove(s)
	if len(o.sessions.named) == 0 {
		o.feed.stop()
	}
}
