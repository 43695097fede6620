package auth

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Session is the caller of one call, with what it was allowed. It may be used by many
// goroutines.
type Session struct {
	access     *Access
	credential Credential

	mu        sync.Mutex
	principal Principal
	rules     *rules                  // Those that principal and granted are by.
	granted   map[Permission]struct{} // What was allowed before.
	quota     *Quota                  // nil: there is none, or it wasn't looked for.
	metered   *rules                  // Those that quota is by.
	end       context.CancelCauseFunc // nil: it isn't a stream.
}

// maxGranted bounds what a session remembers. What is beyond is looked up each time,
// and isn't looked at when the rules change: the next message asks for it anew.
const maxGranted = 1024

// Principal returns who makes the call.
func (s *Session) Principal() Principal {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.principal
}

// Check returns ErrDenied, with what is denied, unless the principal may do something.
func (s *Session) Check(p Permission) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.granted[p]; ok {
		return nil
	}
	if _, ok := s.rules.policy.Allows(s.principal, p); !ok {
		return denied(s.principal, p)
	}
	if s.granted == nil {
		s.granted = make(map[Permission]struct{})
	}
	if len(s.granted) < maxGranted {
		s.granted[p.clone()] = struct{}{}
	}
	return nil
}

// clone returns a permission that shares no memory with a request.
func (p Permission) clone() Permission {
	p.Topic, p.Subscription, p.EventType = strings.Clone(p.Topic), strings.Clone(p.Subscription), strings.Clone(p.EventType)
	return p
}

func denied(principal Principal, p Permission) error {
	if p.Action == Connect {
		return fmt.Errorf("%w: %s has no role on this server", ErrDenied, principal.Name)
	}
	return fmt.Errorf("%w: %s may not %s", ErrDenied, principal.Name, p)
}

// Stream returns a context for a call that may be long: it ends with ErrExpired when
// the credential does, and with ErrInvalid or ErrDenied as its cause when the rules
// change so that the call couldn't be made any more. Call end when the call has ended.
func (s *Session) Stream(ctx context.Context) (stream context.Context, end func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	s.mu.Lock()
	s.end = cancel
	expires := s.principal.Expires
	s.mu.Unlock()
	s.access.mu.Lock()
	s.access.sessions[s] = struct{}{}
	s.access.mu.Unlock()
	s.again() // The rules may have changed before it was among the sessions.
	var timer *time.Timer
	if !expires.IsZero() {
		timer = time.AfterFunc(expires.Sub(s.access.now()), func() { cancel(ErrExpired) })
	}
	return ctx, func() {
		if timer != nil {
			timer.Stop()
		}
		s.access.mu.Lock()
		delete(s.access.sessions, s)
		s.access.mu.Unlock()
		cancel(nil)
	}
}

// again holds the session to the rules as they are now, where these are others.
func (s *Session) again() {
	r := s.access.current.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rules == r {
		return
	}
	principal, err := r.authenticate(s.credential, s.access.now())
	if err != nil {
		s.end(err)
		return
	}
	s.rules, s.principal = r, principal
	for p := range s.granted {
		if _, ok := r.policy.Allows(principal, p); !ok {
			s.end(denied(principal, p))
			return
		}
	}
}
