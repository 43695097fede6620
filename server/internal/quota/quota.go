// Package quota holds callers to what they may use of a server: requests, events and
// bytes a second, and streams at a time. It knows neither how callers are told apart
// nor how they call.
package quota

import (
	"context"
	"fmt"
	"time"
)

// Limits are what one caller may use. 0: as much as it likes.
type Limits struct {
	// Requests is how many a second: calls, and the messages of a stream after the
	// first.
	Requests int64
	// Events is how many a second are published, and how many are delivered.
	Events int64
	// Bytes is how many a second of events are published, and how many delivered.
	Bytes int64
	// Streams is how many are open at a time.
	Streams int64
}

// The names of the quotas, as files and errors have them.
const (
	Requests = "requests_per_second"
	Events   = "events_per_second"
	Bytes    = "bytes_per_second"
	Streams  = "streams"
)

// Names are the names of all quotas.
var Names = []string{Requests, Events, Bytes, Streams}

// ExceededError says that a caller has used up what it may for the moment.
type ExceededError struct {
	// Quota is the name of the quota.
	Quota string
	// Limit is how much it allows.
	Limit int64
	// Delay is how long it takes until there is something again. 0: nobody knows.
	Delay time.Duration
}

func (e *ExceededError) Error() string {
	return fmt.Sprintf("quota exceeded: %s of this caller is %d", e.Quota, e.Limit)
}

// Caller returns who is charged for a call, and what that one may use now: both may
// change while a stream is open.
type Caller func() (name string, limits Limits)

// Meter charges one call. It may be used by many goroutines, and nil charges nobody.
type Meter struct {
	accounts *Accounts
	caller   Caller
}

type meterKey struct{}

// NewContext returns a context with the meter of its call.
func NewContext(ctx context.Context, m *Meter) context.Context {
	return context.WithValue(ctx, meterKey{}, m)
}

// FromContext returns the meter of a call. nil: it isn't charged.
func FromContext(ctx context.Context) *Meter {
	m, _ := ctx.Value(meterKey{}).(*Meter)
	return m
}

// Limits returns what the caller may use.
func (m *Meter) Limits() Limits {
	if m == nil {
		return Limits{}
	}
	_, limits := m.caller()
	return limits
}

// Request charges a call. Above the quota it isn't charged, and the error is an
// *ExceededError.
func (m *Meter) Request() error {
	if m == nil {
		return nil
	}
	name, limits := m.caller()
	if limits.Requests == 0 {
		return nil
	}
	wait := m.accounts.of(name).requests.take(m.accounts.now(), 1, limits.Requests)
	return m.accounts.refuse(Requests, limits.Requests, wait)
}

// AwaitRequest charges a message of a stream, once the quota allows it. The error is
// the context's.
func (m *Meter) AwaitRequest(ctx context.Context) error {
	if m == nil {
		return nil
	}
	name, limits := m.caller()
	if limits.Requests == 0 {
		return nil
	}
	wait := m.accounts.of(name).requests.reserve(m.accounts.now(), 1, limits.Requests)
	return m.accounts.await(ctx, Requests, wait)
}

// Stream charges a stream, until end is called. Above the quota the error is an
// *ExceededError.
func (m *Meter) Stream() (end func(), err error) {
	if m == nil {
		return func() {}, nil
	}
	name, limits := m.caller()
	streams := &m.accounts.of(name).streams
	if open := streams.Add(1); limits.Streams > 0 && open > limits.Streams {
		streams.Add(-1)
		m.accounts.refused[Streams].Add(1)
		return nil, &ExceededError{Quota: Streams, Limit: limits.Streams}
	}
	return func() { streams.Add(-1) }, nil
}

// Publish charges events that are published, which have some bytes together. Above a
// quota nothing is charged, and the error is an *ExceededError. However many there are,
// they pass where nothing of the caller's is owed: what is beyond a second's worth has
// to be waited for afterwards.
func (m *Meter) Publish(events, bytes int) error {
	if m == nil {
		return nil
	}
	name, limits := m.caller()
	if limits.Events == 0 && limits.Bytes == 0 {
		return nil
	}
	at, account := m.accounts.now(), m.accounts.of(name)
	if err := m.exceeded(at, &account.published, limits); err != nil {
		return err
	}
	account.published.reserve(at, events, bytes, limits)
	return nil
}

// Published is Publish for what has come already, in a stream: it charges in any case,
// and returns how long to wait before it is stored.
func (m *Meter) Published(events, bytes int) time.Duration {
	if m == nil {
		return 0
	}
	name, limits := m.caller()
	if limits.Events == 0 && limits.Bytes == 0 {
		return 0
	}
	ofEvents, ofBytes := m.accounts.of(name).published.reserve(m.accounts.now(), events, bytes, limits)
	return m.slowed(ofEvents, ofBytes)
}

// MayDeliver returns an *ExceededError while what was delivered before is to be waited
// for.
func (m *Meter) MayDeliver() error {
	if m == nil {
		return nil
	}
	name, limits := m.caller()
	if limits.Events == 0 && limits.Bytes == 0 {
		return nil
	}
	return m.exceeded(m.accounts.now(), &m.accounts.of(name).delivered, limits)
}

// Delivered charges events that were delivered, and returns how long to wait before
// others are.
func (m *Meter) Delivered(events, bytes int) time.Duration {
	if m == nil {
		return 0
	}
	name, limits := m.caller()
	if limits.Events == 0 && limits.Bytes == 0 {
		return 0
	}
	at, account := m.accounts.now(), m.accounts.of(name)
	account.delivered.reserve(at, events, bytes, limits)
	return m.slowed(account.delivered.wait(at, limits))
}

// slowed returns how long a stream waits, and counts it.
func (m *Meter) slowed(ofEvents, ofBytes time.Duration) time.Duration {
	wait := max(ofEvents, ofBytes)
	m.accounts.slowed(longer(ofEvents, ofBytes), wait)
	return wait
}

// exceeded returns an *ExceededError while something is owed.
func (m *Meter) exceeded(at int64, t *traffic, limits Limits) error {
	ofEvents, ofBytes := t.wait(at, limits)
	if longer(ofEvents, ofBytes) == Events {
		return m.accounts.refuse(Events, limits.Events, ofEvents)
	}
	return m.accounts.refuse(Bytes, limits.Bytes, ofBytes)
}

// longer is the quota that has to be waited for longer.
func longer(ofEvents, ofBytes time.Duration) string {
	if ofEvents >= ofBytes {
		return Events
	}
	return Bytes
}
