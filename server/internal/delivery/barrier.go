package delivery

import "time"

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

// replyAfterBarrier is outbox.reply behind a barrier.
func (s *sessions) replyAfterBarrier(c *call, r *response) {
	b := &barrier{reply: reply{c, r}, inFlight: make(map[string]int64), until: time.Now().Add(barrierTimeout)}
	for name, session := range s.named {
		if len(session.unsent) > 0 {
			b.inFlight[name] = session.number
		}
	}
	s.barriers = append(s.barriers, b)
}

// overdue returns the sessions that have held a barrier up for too long.
func (s *sessions) overdue(now time.Time) (overdue []*session) {
	for _, b := range s.barriers {
		if now.Before(b.until) {
			continue
		}
		for name, number := range b.inFlight {
			if session := s.named[name]; session != nil && session.number <= number {
				overdue = append(overdue, session)
			}
		}
	}
	return overdue
}

// liftBarriers replies to what doesn't have to wait any longer. The journal is
// written.
func (s *sessions) liftBarriers() {
	kept := s.barriers[:0]
	for _, b := range s.barriers {
		for name, number := range b.inFlight {
			if session := s.named[name]; session == nil || session.number > number {
				delete(b.inFlight, name)
			}
		}
		if len(b.inFlight) > 0 {
			kept = append(kept, b)
			continue
		}
		b.reply.send()
	}
	clear(s.barriers[len(kept):])
	s.barriers = kept
}
