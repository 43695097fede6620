package delivery

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/tidings/server/internal/lease"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	replicav1 "example.com/tidings/server/internal/gen/tidings/replica/v1"
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

func (o *owner) attach(q *question, request *replicav1.Attach, now time.Time) {
	switch {
	case o.topic == nil:
		o.refuse(q, replicav1.OwnerError_OWNER_ERROR_TOPIC_NOT_FOUND)
		return
	case o.matcher == nil:
		o.refuse(q, replicav1.OwnerError_OWNER_ERROR_FILTER)
		return
	}
	o.use(now)
	s := o.sessions[request.GetSession()]
	if s == nil { // Else the answer to an earlier try was lost.
		o.holder++
		s = &session{name: request.GetSession(), holder: o.holder, once: request.GetOnce()}
		o.sessions[s.name], o.holders[s.holder] = s, s
	}
	s.window, s.seen = request.GetWindow(), now
	response := &replicav1.OwnerResponse{Owner: o.name, AckDeadline: durationpb.New(o.subscription.Config.GetAckDeadline().AsDuration())}
	for _, ref := range request.GetHeld() {
		response.Results = append(response.Results, &tidingsv1.SettlementResult{Status: o.hold(s, ref, now)})
	}
	o.answer(q, response)
}

// hold makes a lease count in the window of a session.
func (o *owner) hold(s *session, ref *replicav1.LeaseRef, now time.Time) tidingsv1.SettlementStatus {
	status, freed := o.machine.Hold(refOf(ref), s.holder, now.UnixMilli())
	if status != tidingsv1.SettlementStatus_SETTLEMENT_STATUS_APPLIED {
		return status
	}
	o.credit(freed)
	if freed.Size == 0 { // Leased by an earlier owner.
		if e, err := o.events.topicEvent(ref.GetSequence()); err == nil {
			freed.Size = int32(len(e.raw))
			o.machine.SetSize(ref.GetSequence(), freed.Size)
		}
	}
	o.charge(s, freed.Size)
	return status
}

func (o *owner) lease(q *question, request *replicav1.Lease, now time.Time) {
	s := o.sessions[request.GetSession()]
	if s == nil {
		o.refuse(q, o.sessionError())
		return
	}
	o.use(now)
	s.seen, s.number, s.unsent = now, request.GetNumber(), nil
	o.dropWaiting(s.name)
	q.until = now.Add(request.GetWait().AsDuration())
	o.waiting = append(o.waiting, q)
}

// sessionError says why there is no session.
func (o *owner) sessionError() replicav1.OwnerError {
	if o.topic == nil {
		return replicav1.OwnerError_OWNER_ERROR_TOPIC_NOT_FOUND
	}
	return replicav1.OwnerError_OWNER_ERROR_SESSION
}

// dropWaiting answers what a session asked before: it asks one thing at a time.
func (o *owner) dropWaiting(name string) {
	kept := o.waiting[:0]
	for _, q := range o.waiting {
		if q.request.GetLease().GetSession() == name {
			o.answer(q, new(replicav1.OwnerResponse))
			continue
		}
		kept = append(kept, q)
	}
	clear(o.waiting[len(kept):])
	o.waiting = kept
}

func (o *owner) resize(q *question, request *replicav1.Resize) {
	s := o.sessions[request.GetSession()]
	if s == nil {
		o.refuse(q, o.sessionError())
		return
	}
	s.window, s.resized = request.GetWindow(), true
	o.answer(q, new(replicav1.OwnerResponse))
}

func (o *owner) detach(q *question, request *replicav1.Detach, now time.Time) {
	if s := o.sessions[request.GetSession()]; s != nil {
		if s.number > request.GetSent() {
			o.takeBack(s, now)
		}
		o.forget(s)
	}
	o.answer(q, new(replicav1.OwnerResponse))
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
	for _, q := range o.waiting {
		asking[q.request.GetLease().GetSession()] = true
	}
	for name, s := range o.sessions {
		if !asking[name] && now.Sub(s.seen) > silence {
			o.forget(s)
		}
	}
}

// A fence puts an answer off until nothing is under way to a consumer that was
// leased before: each session has asked for more, or ended. One that takes too
// long is ended.
type fence struct {
	answer answer
	// under are the numbers of the answers that are under way, by session.
	under map[string]int64
	until time.Time
}

// fenceTime bounds the wait for a session whose client doesn't read.
const fenceTime = 5 * time.Second

func (o *owner) fence(q *question, response *replicav1.OwnerResponse) {
	f := &fence{answer: answer{q, response}, under: make(map[string]int64), until: time.Now().Add(fenceTime)}
	for name, s := range o.sessions {
		if len(s.unsent) > 0 {
			f.under[name] = s.number
		}
	}
	o.fences = append(o.fences, f)
}

// liftFences answers what doesn't have to wait any longer. The journal is
// written.
func (o *owner) liftFences(now time.Time) {
	kept := o.fences[:0]
	for _, f := range o.fences {
		late := !now.Before(f.until)
		for name, number := range f.under {
			s := o.sessions[name]
			if s == nil || s.number > number {
				delete(f.under, name)
			} else if late {
				o.forget(s)
				delete(f.under, name)
			}
		}
		if len(f.under) > 0 {
			kept = append(kept, f)
			continue
		}
		f.answer.question.reply(f.answer.response)
	}
	clear(o.fences[len(kept):])
	o.fences = kept
}
