// Package delivery leases the events of subscriptions to consumers.
//
// A subscription is owned by one server at a time. The owner keeps what is
// leased, retried, blocked and dead in memory (package lease), and in a journal,
// which it writes before it sends a delivery or answers a settlement. Two
// servers can't write the same journal: the second one ends the first. The
// other servers ask the owner.
package delivery

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/guard"
	"example.com/tidings/server/internal/lease"
	"example.com/tidings/server/internal/schema"

	replicav1 "example.com/tidings/server/internal/gen/tidings/replica/v1"
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

// MaxUnsettled is how many events of a subscription can be on their way at a
// time.
const MaxUnsettled = lease.MaxOnTheirWay

// Config is what New needs. Every field but TypesChanged is required.
type Config struct {
	Engine engine.Engine
	// Types returns the event types in force.
	Types func() *schema.Set
	// TypesChanged returns a channel that is closed once others are in force than
	// those that Types returned before. nil: they never change.
	TypesChanged func() <-chan struct{}
	Log          *slog.Logger
}

// Hub owns subscriptions, and knows how to reach the owners of the others. It
// is safe for concurrent use.
type Hub struct {
	engine       engine.Engine
	types        func() *schema.Set
	typesChanged func() <-chan struct{}
	log          *slog.Logger
	name         string // What this server calls itself in journals.
	writeTimeout time.Duration

	mu     sync.Mutex
	owners map[uint64]*owner // By the uid of the subscription.
	vigils map[watched]*vigil
	dead   map[uint64]time.Time // When the owner was taken for dead.
	closed bool
	ended  guard.Group
	quit   chan struct{}
}

// New makes a hub that owns nothing yet.
func New(cfg Config) *Hub {
	h := &Hub{
		engine:       cfg.Engine,
		types:        cfg.Types,
		typesChanged: cfg.TypesChanged,
		log:          cfg.Log,
		name:         rand.Text(),
		owners:       make(map[uint64]*owner),
		vigils:       make(map[watched]*vigil),
		dead:         make(map[uint64]time.Time),
		quit:         make(chan struct{}),
		writeTimeout: writeTimeout,
	}
	if h.engine.Alone() {
		h.writeTimeout = aloneWriteTimeout
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

const (
	// answerTimeout bounds how long an owner takes, beyond the wait that it was
	// asked for. One that takes longer is taken for dead.
	answerTimeout = writeTimeout + time.Second
	// askAgainAfter is after how long a request that may be repeated is.
	askAgainAfter = time.Second
	// movedWait is the time between questions to an owner that isn't one.
	movedWait = 20 * time.Millisecond
	// movedTries is how often a request is sent before it fails.
	movedTries = 100
)

// Call asks the owner of a subscription, which this server becomes if there is
// none. A request of a session fails with ErrUnavailable when the owner
// changes; any other is asked again.
func (h *Hub) Call(ctx context.Context, s *engine.Subscription, request *replicav1.OwnerRequest) (*replicav1.OwnerResponse, error) {
	var last error
	for range movedTries {
		response, err := h.ask(ctx, s, request)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		switch {
		case err == nil:
			if err = errorOf(response.GetError()); !errors.Is(err, ErrUnavailable) {
				return response, err
			}
		case !errors.Is(err, ErrUnavailable):
			return nil, err
		}
		last = err
		if inSession(request) {
			return nil, err
		}
		select {
		case <-time.After(movedWait):
		case <-h.quit:
			return nil, ErrUnavailable
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return nil, last
}

// inSession reports whether a request is of no use to another owner.
func inSession(request *replicav1.OwnerRequest) bool {
	switch request.GetRequest().(type) {
	case *replicav1.OwnerRequest_Lease, *replicav1.OwnerRequest_Resize, *replicav1.OwnerRequest_Detach:
		return true
	default:
		return false
	}
}

func errorOf(e replicav1.OwnerError) error {
	switch e {
	case replicav1.OwnerError_OWNER_ERROR_UNSPECIFIED:
		return nil
	case replicav1.OwnerError_OWNER_ERROR_SESSION:
		return ErrSession
	case replicav1.OwnerError_OWNER_ERROR_FULL:
		return engine.ErrFull
	case replicav1.OwnerError_OWNER_ERROR_STORAGE:
		return engine.ErrUnavailable
	case replicav1.OwnerError_OWNER_ERROR_NOT_FOUND:
		return engine.ErrSubscriptionNotFound
	case replicav1.OwnerError_OWNER_ERROR_TOPIC_NOT_FOUND:
		return engine.ErrTopicNotFound
	case replicav1.OwnerError_OWNER_ERROR_FILTER:
		return ErrFilter
	default: // Moved, or a request that an older server doesn't know.
		return ErrUnavailable
	}
}

// ask asks once.
func (h *Hub) ask(ctx context.Context, s *engine.Subscription, request *replicav1.OwnerRequest) (*replicav1.OwnerResponse, error) {
	if o := h.owned(s); o != nil {
		return o.ask(ctx, request)
	}
	// A session's request is answered by who has the session. That is no
	// reason to become the owner.
	if h.engine.Alone() {
		if inSession(request) {
			return nil, ErrUnavailable
		}
		return h.own(ctx, s, request)
	}
	if !inSession(request) && h.deadOwner(s) {
		return h.own(ctx, s, request)
	}
	bound := answerTimeout + request.GetLease().GetWait().AsDuration()
	request.Timeout = durationpb.New(bound)
	encoded, err := proto.Marshal(request)
	if err != nil {
		return nil, err
	}
	asked, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	answer, err := h.askWatched(asked, s, request.GetOwner(), func(ctx context.Context) ([]byte, error) {
		return h.askAgain(ctx, s, encoded, repeatable(request))
	})
	switch {
	case err == nil:
		response := new(replicav1.OwnerResponse)
		return response, proto.Unmarshal(answer, response)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case inSession(request):
		return nil, ErrUnavailable
	case errors.Is(err, engine.ErrUnavailable):
		return nil, errors.Join(ErrUnavailable, err)
	default: // There is no owner, or it doesn't answer.
		return h.own(ctx, s, request)
	}
}

// repeatable reports whether a request that is repeated changes nothing more, and is
// answered at once.
func repeatable(request *replicav1.OwnerRequest) bool {
	return request.GetAttach() != nil || request.GetSettle() != nil || request.GetDetach() != nil
}

// askAgain asks, again and again where the request may be repeated: the first may
// have come to an owner that died, while another one is there by now.
func (h *Hub) askAgain(ctx context.Context, s *engine.Subscription, encoded []byte, repeatable bool) ([]byte, error) {
	for repeatable {
		asked, cancel := context.WithTimeout(ctx, askAgainAfter)
		answer, err := h.engine.Ask(asked, s, encoded)
		late := asked.Err() != nil && ctx.Err() == nil
		cancel()
		if err == nil || !late {
			return answer, err
		}
	}
	return h.engine.Ask(ctx, s, encoded)
}

// owned returns the owner of a subscription that this server owns, or nil.
func (h *Hub) owned(s *engine.Subscription) *owner {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.owners[s.Config.GetUid()]
}

// own makes this server the owner and asks it.
func (h *Hub) own(ctx context.Context, s *engine.Subscription, request *replicav1.OwnerRequest) (*replicav1.OwnerResponse, error) {
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
	return o.ask(ctx, request)
}

// disown forgets an owner that has ended.
func (h *Hub) disown(o *owner) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.owners[o.uid] == o {
		delete(h.owners, o.uid)
	}
}

// idleCheck is how often the hub looks for subscriptions that nobody uses.
const idleCheck = 30 * time.Second

// useResolution is how exactly a journal knows the last use.
const useResolution = time.Minute

// expireIdle deletes subscriptions that nobody has used for as long as they
// allow.
func (h *Hub) expireIdle() error {
	tick := time.NewTicker(idleCheck)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := guard.Do(func() error { h.ExpireIdle(time.Now()); return nil }); err != nil {
				h.log.Error("expiring subscriptions", "error", err)
			}
		case <-h.quit:
			return nil
		}
	}
}

// ExpireIdle deletes the subscriptions that, by this time, nobody has used for
// as long as they allow. The hub does so by itself, twice a minute.
func (h *Hub) ExpireIdle(now time.Time) {
	for _, s := range h.engine.Subscriptions() {
		idle := s.Config.GetExpireAfterIdle()
		if idle == nil || now.Sub(s.Config.GetUpdateTime().AsTime()) < idle.AsDuration() {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
		err := h.expire(ctx, s, now)
		cancel()
		if err != nil && !errors.Is(err, engine.ErrSubscriptionNotFound) && !errors.Is(err, engine.ErrRevision) {
			h.log.Warn("looking whether a subscription is used", "subscription", s.Name, "error", err)
		}
	}
}

func (h *Hub) expire(ctx context.Context, s *engine.Subscription, now time.Time) error {
	response, err := h.Call(ctx, s, &replicav1.OwnerRequest{Request: &replicav1.OwnerRequest_Inspect{
		Inspect: &replicav1.Inspect{StatisticsOnly: true},
	}})
	if err != nil {
		return err
	}
	used := response.GetStatistics().GetLatestUseTime()
	last := s.Config.GetUpdateTime().AsTime()
	if used != nil && used.AsTime().After(last) {
		last = used.AsTime()
	}
	if response.GetStatistics().GetConsumers() > 0 || now.Sub(last) < s.Config.GetExpireAfterIdle().AsDuration()+useResolution {
		return nil
	}
	h.log.Info("subscription expired", "subscription", s.Name, "idle_since", last)
	return h.engine.DeleteSubscription(ctx, s)
}
