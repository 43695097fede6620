package quota

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// maxAccounts bounds the callers that are told apart at a time. Those beyond share an
// account.
const maxAccounts = 16_384

// sweepEvery is how often, at most, accounts are looked through for those that are of
// no use any more.
const sweepEvery = time.Second

// account is what one caller has used.
type account struct {
	requests             bucket
	published, delivered traffic
	streams              atomic.Int64
}

// idle reports whether an account is as good as new.
func (a *account) idle(at int64) bool {
	return a.streams.Load() == 0 && a.requests.idle(at) && a.published.idle(at) && a.delivered.idle(at)
}

// Accounts are those of the callers of a server. They may be used by many goroutines.
type Accounts struct {
	// Default is what a caller may use that nothing else is said of.
	Default Limits

	now    func() int64
	most   int64
	byName sync.Map // Of *account.
	count  atomic.Int64
	shared account // Of the callers beyond the bound.

	mu    sync.Mutex // Held while sweeping.
	swept int64

	refused map[string]*atomic.Int64 // By the name of the quota.
	waited  map[string]*atomic.Int64 // In nanoseconds.
}

// NewAccounts returns the accounts of a server.
func NewAccounts(byDefault Limits) *Accounts {
	a := &Accounts{
		Default: byDefault, now: now, most: maxAccounts,
		refused: make(map[string]*atomic.Int64), waited: make(map[string]*atomic.Int64),
	}
	for _, name := range Names {
		a.refused[name], a.waited[name] = new(atomic.Int64), new(atomic.Int64)
	}
	return a
}

// Meter returns a meter that charges a caller.
func (a *Accounts) Meter(caller Caller) *Meter { return &Meter{a, caller} }

// of returns the account of a caller.
func (a *Accounts) of(name string) *account {
	if found, ok := a.byName.Load(name); ok {
		return found.(*account) //nolint:forcetypeassert // The map holds nothing else.
	}
	if a.count.Load() >= a.most && !a.sweep() {
		return &a.shared
	}
	found, known := a.byName.LoadOrStore(name, new(account))
	if !known {
		a.count.Add(1)
	}
	return found.(*account) //nolint:forcetypeassert // The map holds nothing else.
}

// sweep forgets the accounts that are as good as new, and reports whether there is room
// for others.
func (a *Accounts) sweep() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	at := a.now()
	if a.swept == 0 || time.Duration(at-a.swept) >= sweepEvery {
		a.swept = at
		a.byName.Range(func(name, value any) bool {
			if value.(*account).idle(at) && a.byName.CompareAndDelete(name, value) { //nolint:forcetypeassert // The map holds nothing else.
				a.count.Add(-1)
			}
			return true
		})
	}
	return a.count.Load() < a.most
}

// refuse returns an *ExceededError where something has to be waited for.
func (a *Accounts) refuse(name string, limit int64, wait time.Duration) error {
	if wait <= 0 {
		return nil
	}
	a.refused[name].Add(1)
	return &ExceededError{Quota: name, Limit: limit, Delay: wait}
}

// slowed counts how long a stream has to wait.
func (a *Accounts) slowed(name string, wait time.Duration) {
	if wait > 0 {
		a.waited[name].Add(int64(wait))
	}
}

// await waits. The error is the context's.
func (a *Accounts) await(ctx context.Context, name string, wait time.Duration) error {
	if wait <= 0 {
		return nil
	}
	a.slowed(name, wait)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Usage is what quotas have done so far.
type Usage struct {
	// Accounts are how many callers are told apart at present.
	Accounts int64
	// Refused are how many calls and streams were refused, and Waited how long streams
	// were made to wait, by the name of the quota.
	Refused map[string]int64
	Waited  map[string]time.Duration
}

// Usage returns what quotas have done so far.
func (a *Accounts) Usage() Usage {
	u := Usage{Accounts: a.count.Load(), Refused: make(map[string]int64), Waited: make(map[string]time.Duration)}
	for _, name := range Names {
		u.Refused[name], u.Waited[name] = a.refused[name].Load(), time.Duration(a.waited[name].Load())
	}
	return u
}
