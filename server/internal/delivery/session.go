package delivery

import (
	"time"

	"example.com/tidings/server/internal/lease"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// session is a stream, at whichever server.
type session struct {
	name   string
	holder uint64 // What the machine calls it.
	window *tidingsv1.FlowControl
	// resized says that its server hasn't been told of the window.
	resized bool
	once    bool // See StreamConfig.

	principal string // See StreamConfig.

	events int32 // Leased to it and not settled.
	bytes  int64

	// number is that of the last leaseRequest, and unsent what its reply leased, as
	// long as it isn't known to have been sent.
	number int64
	unsent []lease.Ref
	seen   time.Time // When it last asked for something.
}

// silence is after how long a session that doesn't ask for anything has ended:
// its server has, or its client doesn't read.
const silence = time.Minute

// room says how much more may be leased to a session.
func (s *session) room() (events int32, bytes int64) {
	return s.window.GetMaxEvents() - s.events, s.window.GetMaxBytes() - s.bytes
}

// charge takes room for a lease.
func (s *session) charge(size int32) {
	s.events++
	s.bytes += int64(size)
}

// pendingLease is a leaseRequest that waits for events.
type pendingLease struct {
	*leaseRequest

	call  *call
	until time.Time // When to reply that there are none.
	upTo  int64     // Of a Pull that waits no longer: where what it is due ends.
}

// sessions are the sessions of a subscription: their windows, their requests
// that wait for events, and the barriers that wait for them.
type sessions struct {
	outbox *outbox

	named    map[string]*session
	holders  map[uint64]*session
	holder   uint64 // The number of the last session.
	waiting  []*pendingLease
	barriers []*barrier
}

func newSessions(b *outbox) *sessions {
	return &sessions{outbox: b, named: make(map[string]*session), holders: make(map[uint64]*session)}
}

// open returns the session of a name, a new one unless there is one.
func (s *sessions) open(name string, once bool) *session {
	opened := s.named[name]
	if opened == nil {
		s.holder++
		opened = &session{name: name, holder: s.holder, once: once}
		s.named[name], s.holders[opened.holder] = opened, opened
	}
	return opened
}

// remove ends a session.
func (s *sessions) remove(ended *session) {
	s.dropWaiting(ended.name)
	delete(s.named, ended.name)
	delete(s.holders, ended.holder)
}

// credit gives room back to who holds what is leased no more.
func (s *sessions) credit(c lease.Credit) {
	if holder := s.holders[c.Holder]; holder != nil {
		holder.events--
		holder.bytes -= int64(c.Size)
	}
}

// creditAll gives all room back: nothing is leased any more.
func (s *sessions) creditAll() {
	for _, session := range s.named {
		session.events, session.bytes = 0, 0
	}
}

// consumers counts the sessions that aren't Pulls.
func (s *sessions) consumers() (count int32) {
	for _, session := range s.named {
		if !session.once {
			count++
		}
	}
	return count
}

// silent returns the sessions that have asked for nothing for long.
func (s *sessions) silent(now time.Time) (silent []*session) {
	asking := make(map[string]bool)
	for _, p := range s.waiting {
		asking[p.session] = true
	}
	for name, session := range s.named {
		if !asking[name] && now.Sub(session.seen) > silence {
			silent = append(silent, session)
		}
	}
	return silent
}

// wait keeps a request until there are events, in the place of an earlier one of
// its session.
func (s *sessions) wait(r *leaseRequest, c *call, until time.Time) {
	s.dropWaiting(r.session)
	s.waiting = append(s.waiting, &pendingLease{leaseRequest: r, call: c, until: until})
}

// dropWaiting replies to an earlier leaseRequest of a session: it makes one at a
// time.
func (s *sessions) dropWaiting(name string) {
	kept := s.waiting[:0]
	for _, p := range s.waiting {
		if p.session == name {
			s.outbox.reply(p.call, new(response))
			continue
		}
		kept = append(kept, p)
	}
	clear(s.waiting[len(kept):])
	s.waiting = kept
}

// refuseAll refuses what waits.
func (s *sessions) refuseAll(err error) {
	for _, p := range s.waiting {
		p.call.refuse(err)
	}
	for _, b := range s.barriers {
		b.reply.call.refuse(err)
	}
}

// next returns the earliest of a time and those at which something has waited
// long enough.
func (s *sessions) next(at time.Time) time.Time {
	for _, p := range s.waiting {
		at = earlier(at, p.until)
	}
	for _, b := range s.barriers {
		at = earlier(at, b.until)
	}
	return at
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
