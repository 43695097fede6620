package local

import (
	"context"
	"sync"

	"example.com/tidings/server/internal/engine"

	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// subscriber is what is kept of a subscription while the storage is open.
type subscriber struct {
	held[*storagev1.SubscriptionConfig]

	// last is the number of the last entry of the journal, durable or not. 0:
	// there is none. It is the committer's, once loaded.
	last int64

	mu     sync.Mutex
	loaded bool
	// seen is the number of the last entry that is durable.
	seen int64
}

func (e *Engine) openSubscriptions(revisions *revisions) (*registry[*storagev1.SubscriptionConfig, *subscriber], error) {
	return openRegistry(e.db, e.committer, revisions, kind[*storagev1.SubscriptionConfig, *subscriber]{
		what:     "subscription",
		key:      kindSubscription,
		notFound: engine.ErrSubscriptionNotFound,
		exists:   engine.ErrSubscriptionExists,
		config:   func() *storagev1.SubscriptionConfig { return new(storagev1.SubscriptionConfig) },
		stamp:    func(config *storagev1.SubscriptionConfig) { config.Format = engine.ConfigFormat },
		state:    func() *subscriber { return new(subscriber) },
		owned:    subscriptionKinds,
		gone:     func(uid uint64) { e.disk.reclaimAll(subscriptionKinds, uid) },
	})
}

// Subscription returns a subscription, or engine.ErrSubscriptionNotFound.
func (e *Engine) Subscription(_ context.Context, name string) (*engine.Subscription, error) {
	return e.subscriptions.get(name)
}

// SubscriptionAt is Subscription: nothing is known elsewhere before it is here.
func (e *Engine) SubscriptionAt(_ context.Context, name string, _ uint64) (*engine.Subscription, error) {
	return e.subscriptions.get(name)
}

// Subscriptions returns every subscription, ordered by name.
func (e *Engine) Subscriptions() []*engine.Subscription { return e.subscriptions.list() }

// CreateSubscription creates a subscription, or returns
// engine.ErrSubscriptionExists.
func (e *Engine) CreateSubscription(ctx context.Context, name string, config *storagev1.SubscriptionConfig) (*engine.Subscription, error) {
	return e.subscriptions.create(ctx, name, config)
}

// UpdateSubscription changes the configuration of a subscription that is still
// at the revision of the given one, or returns engine.ErrRevision.
func (e *Engine) UpdateSubscription(ctx context.Context, s *engine.Subscription, config *storagev1.SubscriptionConfig) (*engine.Subscription, error) {
	return e.subscriptions.update(ctx, s, config)
}

// DeleteSubscription deletes a subscription that is still at the revision of the
// given one, with its journal and its dead letters, or returns
// engine.ErrRevision.
func (e *Engine) DeleteSubscription(ctx context.Context, s *engine.Subscription) error {
	return e.subscriptions.delete(ctx, s)
}

// SubscriptionGone returns a channel that is closed once a subscription is
// deleted.
func (e *Engine) SubscriptionGone(s *engine.Subscription) <-chan struct{} {
	return e.subscriptions.whenGone(s)
}
