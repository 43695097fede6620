// Package delivery leases the events of subscriptions to consumers.
//
// A subscription is owned by one server at a time. The owner keeps what is
// leased, retried, blocked and dead in memory (package lease), and in a journal,
// which it writes before it sends a delivery or replies to a settlement. Two
// servers can't write the same journal: the second one ends the first. The
// other servers call the owner, over the engine.
package delivery

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"time"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/guard"
	"example.com/tidings/server/internal/lease"
	"example.com/tidings/server/internal/schema"
	"example.com/tidings/server/internal/telemetry"
)

// Every error of this package wraps one of these or of the engine's, or is a
// context's.
var (
	// ErrUnavailable: the owner of the subscription ended or can't be reached.
	// Whether the request took effect isn't known.
	ErrUnavailable = errors.New("the owner of the subscription is unavailable")
	// ErrSession: the owner doesn't know the session, or ended it.
	ErrSession = errors.New("the session has ended")
	// ErrFilter: the filter of the subscription can't be used.
	ErrFilter = errors.New("the filter can't be used")
)

// MaxUnsettled is how many events of a subscription can be leased, wait to be
// delivered again or be blocked at a time.
const MaxUnsettled = lease.MaxTracked

// Config is what New needs. Every field but TypesChanged and Metrics is required.
type Config struct {
	Engine engine.Engine
	// Types returns the event types in force.
	Types func() *schema.Set
	// TypesChanged returns a channel that is closed once others are in force than
	// those that Types returned before. nil: they never change.
	TypesChanged func() <-chan struct{}
	// Metrics count what is delivered. nil: nothing is counted.
	Metrics *telemetry.Metrics
	Log     *slog.Logger
}

// Hub owns subscriptions, and knows how to reach the owners of the others. It
// is safe for concurrent use.
type Hub struct {
	engine       engine.Engine
	types        func() *schema.Set
	typesChanged func() <-chan struct{}
	metrics      *telemetry.Metrics
	log          *slog.Logger
	name         string // What this server calls itself in journals.
	writeTimeout time.Duration

	mu      sync.Mutex
	owners  map[uint64]*owner // By the uid of the subscription.
	watches map[watched]*watch
	dead    map[uint64]time.Time // When the owner was taken for dead.
	closed  bool
	ended   guard.Group
	quit    chan struct{}
}

// New makes a hub that owns nothing yet.
func New(cfg Config) *Hub {
	h := &Hub{
		engine:       cfg.Engine,
		types:        cfg.Types,
		typesChanged: cfg.TypesChanged,
		metrics:      cfg.Metrics,
		log:          cfg.Log,
		name:         rand.Text(),
		owners:       make(map[uint64]*owner),
		watches:      make(map[watched]*watch),
		dead:         make(map[uint64]time.Time),
		quit:         make(chan struct{}),
		writeTimeout: writeTimeout,
	}
	if h.engine.Exclusive() {
		h.writeTimeout = exclusiveWriteTimeout
	}
	if h.typesChanged == nil {
		h.typesChanged = func() <-chan struct{} { return nil }
	}
	h.ended.Go(h.expireIdle, guard.Log(h.log, "expiring subscriptions"))
	return h
}

// Close gives up every subscription: other servers may own them from then on.
// It returns the error of the context where that ends before all are given up.
func (h *Hub) Close(ctx context.Context) error {
	h.mu.Lock()
	if !h.closed {
		h.closed = true
		close(h.quit)
	}
	h.mu.Unlock()
	ended := make(chan struct{})
	guard.Go(func() error { h.ended.Wait(); return nil }, func(error) { close(ended) })
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// owned returns the owner of a subscription that this server owns, or nil.
func (h *Hub) owned(s *engine.Subscription) *owner {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.owners[s.Config.GetUid()]
}

// own makes this server the owner and calls it.
func (h *Hub) own(ctx context.Context, s *engine.Subscription, r request) (*response, error) {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil, ErrUnavailable
	}
	o := h.owners[s.Config.GetUid()]
	if o == nil {
		o = newOwner(h, s)
		h.owners[s.Config.GetUid()] = o
		h.ended.Go(o.run, guard.Log(h.log, "ending an owner"))
	}
	h.mu.Unlock()
	return o.mailbox.call(ctx, r)
}

// disown forgets an owner that has ended.
func (h *Hub) disown(o *owner) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.owners[o.uid] == o {
		delete(h.owners, o.uid)
	}
}
