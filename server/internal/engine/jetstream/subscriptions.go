package jetstream

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"

	"example.com/tidings/server/internal/engine"

	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

func openSubscriptions(ctx context.Context, e *Engine, progress func()) (*registry[*storagev1.SubscriptionConfig], error) {
	return openRegistry(ctx, e, progress, kind[*storagev1.SubscriptionConfig]{
		what:        "subscription",
		bucket:      "tidings-subscriptions",
		description: "The configuration of every Tidings subscription",
		notFound:    engine.ErrSubscriptionNotFound,
		exists:      engine.ErrSubscriptionExists,
		new:         func() *storagev1.SubscriptionConfig { return new(storagev1.SubscriptionConfig) },
		stamp: func(config *storagev1.SubscriptionConfig, deleting bool) {
			config.Format, config.Deleting = engine.ConfigFormat, deleting
		},
		prepare: func(ctx context.Context, s *engine.Subscription) error {
			for _, stream := range []jetstream.StreamConfig{e.journalStream(s), e.deadLetterStream(s)} {
				if err := e.align(ctx, stream); err != nil {
					return err
				}
			}
			return nil
		},
		remove: func(ctx context.Context, s *engine.Subscription) error {
			return errors.Join(
				e.deleteStream(ctx, journalName(s.Name)),
				e.deleteStream(ctx, deadLettersName(s.Name)))
		},
	})
}

// Subscription implements engine.Subscriptions.
func (e *Engine) Subscription(ctx context.Context, name string) (*engine.Subscription, error) {
	return call(ctx, func(ctx context.Context) (*engine.Subscription, error) { return e.subscriptions.get(ctx, name) })
}

// SubscriptionAt implements engine.Subscriptions.
func (e *Engine) SubscriptionAt(ctx context.Context, name string, revision uint64) (*engine.Subscription, error) {
	return call(ctx, func(ctx context.Context) (*engine.Subscription, error) {
		s, err := e.subscriptions.get(ctx, name)
		if err != nil || s.Revision >= revision {
			return s, err
		}
		// What another server wrote may not have arrived yet.
		if s, err = e.subscriptions.load(ctx, name); err == nil && s.Config.GetDeleting() {
			return nil, engine.ErrSubscriptionNotFound
		}
		return s, err
	})
}

// Subscriptions implements engine.Subscriptions.
func (e *Engine) Subscriptions() []*engine.Subscription { return e.subscriptions.list() }

// CreateSubscription implements engine.Subscriptions.
func (e *Engine) CreateSubscription(ctx context.Context, name string, config *storagev1.SubscriptionConfig) (*engine.Subscription, error) {
	return call(ctx, func(ctx context.Context) (*engine.Subscription, error) {
		return e.subscriptions.create(ctx, name, config)
	})
}

// UpdateSubscription implements engine.Subscriptions.
func (e *Engine) UpdateSubscription(ctx context.Context, s *engine.Subscription, config *storagev1.SubscriptionConfig) (*engine.Subscription, error) {
	return call(ctx, func(ctx context.Context) (*engine.Subscription, error) { return e.subscriptions.update(ctx, s, config) })
}

// DeleteSubscription implements engine.Subscriptions.
func (e *Engine) DeleteSubscription(ctx context.Context, s *engine.Subscription) error {
	return do(ctx, func(ctx context.Context) error { return e.subscriptions.delete(ctx, s) })
}

// SubscriptionGone implements engine.Subscriptions.
func (e *Engine) SubscriptionGone(s *engine.Subscription) <-chan struct{} {
	return e.subscriptions.whenGone(s)
}
