package delivery

import (
	"time"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/lease"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// session is a stream of Consume or Receive, or a Pull, at whichever server.
type session struct {
	name   string
	holder uint64 // What the machine calls it.
	window *tidingsv1.FlowControl
	// resized says that its server hasn't been told of the window.
	resized bool
	once    bool

	events int32 // Leased to it and not settled.
	bytes  int64

	// number is that of the last Lease, and unsent what its answer leased, as
	// long as it isn't known to have been sent.
	number int64
	unsent []lease.Ref
	// frameBytes is the size of that answer.
	frameBytes int
	seen       time.Time // When it last asked for something.
}

// silence is after how long a session that doesn't ask for anything has ended:
// its server has, or its client doesn't read.
const silence = time.Minute

// room says how much more may be leased to a session.
func (s *session) room() (events int32, bytes int64) {
	return s.window.GetMaxEvents() - s.events, s.window.GetMaxBytes() - s.bytes
}

// credit gives room back to who holds what is leased no more.
func (o *owner) credit(freed lease.Freed) {
	if s := o.holders[freed.Holder]; s != nil {
		s.events--
		s.bytes -= int64(freed.Size)
	}
}

func (o *owner) charge(s *session, size int32) {
	s.events++
	s.bytes += int64(size)
}

// attachRequest opens a session: a stream, or a Pull.
type attachRequest struct {
	session string // Random.
	window  *tidingsv1.FlowControl
	held    []lease.Ref // Count in the window, if they are leased.
	once    bool        // A Pull, which isn't counted as a consumer.
}

func (r *attachRequest) serve(o *owner, c *call, now time.Time) {
	switch {
	case o.topic == nil:
		o.refuse(c, engine.ErrTopicNotFound)
		return
	case o.matcher == nil:
		o.refuse(c, ErrFilter)
		return
	}
	o.use(now)
	s := o.sessions[r.session]
	if s == nil { // Else the reply to an earlier try was lost.
		o.holder++
		s = &session{name: r.session, holder: o.holder, once: r.once}
		o.sessions[s.name], o.holders[s.holder] = s, s
	}
	s.window, s.seen = r.window, now
	response := &response{owner: o.name, ackDeadline: o.subscription.Config.GetAckDeadline().AsDuration()}
	for _, ref := range r.held {
		response.results = append(response.results, &tidingsv1.SettlementResult{Status: o.hold(s, ref, now)})
	}
	o.reply(c, response)
}

// hold makes a lease count in the window of a session.
func (o *owner) hold(s *session, ref lease.Ref, now time.Time) tidingsv1.SettlementStatus {
	status, freed := o.machine.Hold(ref, s.holder, now.UnixMilli())
	if status != tidingsv1.SettlementStatus_SETTLEMENT_STATUS_APPLIED {
		return status
	}
	o.credit(freed)
	if freed.Size == 0 { // Leased by an earlier owner.
		if e, err := o.events.topicEvent(ref.Sequence); err == nil {
			freed.Size = int32(len(e.raw))
			o.machine.SetSize(ref.Sequence, freed.Size)
		}
	}
	o.charge(s, freed.Size)
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

// pendingLease is a leaseRequest that waits for events.
type pendingLease struct {
	*leaseRequest

	call  *call
	until time.Time // When to reply that there are none.
	upTo  int64     // Of a Pull that waits no longer: where what it is due ends.
}

func (r *leaseRequest) serve(o *owner, c *call, now time.Time) {
	s := o.sessions[r.session]
	if s == nil {
		o.refuse(c, o.sessionError())
		return
	}
	o.use(now)
	s.seen, s.number, s.unsent = now, r.number, nil
	o.dropWaiting(s.name)
	o.waiting = append(o.waiting, &pendingLease{leaseRequest: r, call: c, until: now.Add(r.wait)})
}

// sessionError says why there is no session.
func (o *owner) sessionError() error {
	if o.topic == nil {
		return engine.ErrTopicNotFound
	}
	return ErrSession
}

// dropWaiting replies to an earlier leaseRequest of a session: it makes one at a
// time.
func (o *owner) dropWaiting(name string) {
	kept := o.waiting[:0]
	for _, p := range o.waiting {
		if p.session == name {
			o.reply(p.call, new(response))
			continue
		}
		kept = append(kept, p)
	}
	clear(o.waiting[len(kept):])
	o.waiting = kept
}

// resizeRequest changes the window of a session.
type resizeRequest struct {
	session string
	window  *tidingsv1.FlowControl
}

func (r *resizeRequest) serve(o *owner, c *call, _ time.Time) {
	s := o.sessions[r.session]
	if s == nil {
		o.refuse(c, o.sessionError())
		return
	}
	s.window, s.resized = r.window, true
	o.reply(c, new(response))
}

// detachRequest ends a session. Its leases stay, but for those that weren't sent.
type detachRequest struct {
	session string
	sent    int64 // The replies up to the leaseRequest of this number were sent.
}

func (r *detachRequest) serve(o *owner, c *call, now time.Time) {
	if s := o.sessions[r.session]; s != nil {
		if s.number > r.sent {
			o.takeBack(s, now)
		}
		o.forget(s)
	}
	o.reply(c, new(response))
}

// takeBack releases what was leased to a session and never sent.
func (o *owner) takeBack(s *session, now time.Time) {
	for _, ref := range s.unsent {
		_, freed := o.machine.Settle(lease.Settlement{Ref: ref, Action: lease.Release}, now.UnixMilli())
		o.credit(freed)
	}
	s.unsent = nil
}

func (o *owner) forget(s *session) {
	o.dropWaiting(s.name)
	delete(o.sessions, s.name)
	delete(o.holders, s.holder)
	if len(o.sessions) == 0 {
		o.restartFeed()
	}
}

// forgetSilent ends the sessions that ask for nothing.
func (o *owner) forgetSilent(now time.Time) {
	asking := make(map[string]bool)
	for _, p := range o.waiting {
		asking[p.session] = true
	}
	for name, s := range o.sessions {
		if !asking[name] && now.Sub(s.seen) > silence {
			o.forget(s)
		}
	}
}

// A barrier puts a reply off until nothing that was leased before is in flight
// to a consumer: each session has asked for more, or ended. One that takes too
// long is ended.
type barrier struct {
	reply reply
	// inFlight are the numbers of the batches that are in flight, by session.
	inFlight map[string]int64
	until    time.Time
}

// barrierTimeout bounds the wait for a session whose client doesn't read.
const barrierTimeout = 5 * time.Second

func (o *owner) replyAfterBarrier(c *call, r *response) {
	b := &barrier{reply: reply{c, r}, inFlight: make(map[string]int64), until: time.Now().Add(barrierTimeout)}
	for name, s := range o.sessions {
		if len(s.unsent) > 0 {
			b.inFlight[name] = s.number
		}
	}
	o.barriers = append(o.barriers, b)
}

// liftBarriers replies to what doesn't have to wait any longer. The journal is
// written.
func (o *owner) liftBarriers(now time.Time) {
	kept := o.barriers[:0]
	for _, b := range o.barriers {
		overdue := !now.Before(b.until)
		for name, number := range b.inFlight {
			s := o.sessions[name]
			if s == nil || s.number > number {
				delete(b.inFlight, name)
			} else if overdue {
				o.forget(s)
				delete(b.inFlight, name)
			}
		}
		if len(b.inFlight) > 0 {
			kept = append(kept, b)
			continue
		}
		b.reply.send()
	}
	clear(o.barriers[len(kept):])
	o.barriers = kept
}
