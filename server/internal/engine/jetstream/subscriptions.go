package engine

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"

	storagev1 "example.com/tidings/gen/go/tidings/storage/v1"
)

// Subscription is a subscription as it was configured at one revision. It is
// immutable.
type Subscription = Entity[*storagev1.SubscriptionConfig]

func openSubscriptions(ctx context.Context, e *Engine) (*registry[*storagev1.SubscriptionConfig], error) {
	return openRegistry(ctx, e, kind[*storagev1.SubscriptionConfig]{
		what:        "subscription",
		bucket:      "tidings-subscriptions",
		description: "The configuration of every Tidings subscription",
		notFound:    ErrSubscriptionNotFound,
		exists:      ErrSubscriptionExists,
		new:         func() *storagev1.SubscriptionConfig { return new(storagev1.SubscriptionConfig) },
		stamp: func(config *storagev1.SubscriptionConfig, deleting bool) {
			config.Format, config.Deleting = configFormat, deleting
		},
		prepare: func(ctx context.Context, s *Subscription) error {
			for _, stream := range []jetstream.StreamConfig{e.journalStream(s), e.deadLetterStream(s)} {
				if _, err := e.js.CreateOrUpdateStream(ctx, stream); err != nil {
					return translate(err)
				}
			}
			return nil
		},
		remove: func(ctx context.Context, s *Subscription) error {
			return errors.Join(
				e.deleteStream(ctx, journalName(s.Name)),
				e.deleteStream(ctx, deadLettersName(s.Name)))
		},
	})
}

// Subscription returns a subscription, or ErrSubscriptionNotFound.
func (e *Engine) Subscription(ctx context.Context, name string) (*Subscription, error) {
	return e.subscriptions.get(ctx, name)
}

// SubscriptionAt returns a subscription as it is at a revision or later.
func (e *Engine) SubscriptionAt(ctx context.Context, name string, revision uint64) (*Subscription, error) {
	s, err := e.subscriptions.get(ctx, name)
	if err != nil || s.Revision >= revision {
		return s, err
	}
	// What another server wrote may be on its way here.
	if s, err = e.subscriptions.load(ctx, name); err == nil && s.Config.GetDeleting() {
		return nil, ErrSubscriptionNotFound
	}
	return s, err
}

// Subscriptions returns every subscription, ordered by name.
func (e *Engine) Subscriptions() []*Subscription { return e.subscriptions.list() }

// TopicOf returns the topic of a subscription, or ErrTopicNotFound: also where
// there is a later one of the same name.
func (e *Engine) TopicOf(ctx context.Context, s *Subscription) (*Topic, error) {
	topic, err := e.Topic(ctx, s.Config.GetTopic())
	if err == nil && topic.Config.GetUid() != s.Config.GetTopicUid() {
		return nil, ErrTopicNotFound
	}
	return topic, err
}

// CreateSubscription creates a subscription and its streams, or returns
// ErrSubscriptionExists. It fills format.
func (e *Engine) CreateSubscription(ctx context.Context, name string, config *storagev1.SubscriptionConfig) (*Subscription, error) {
	return e.subscriptions.create(ctx, name, config)
}

// UpdateSubscription changes the configuration of a subscription that is still
// at the revision of the given one, or returns ErrRevision.
func (e *Engine) UpdateSubscription(ctx context.Context, s *Subscription, config *storagev1.SubscriptionConfig) (*Subscription, error) {
	return e.subscriptions.update(ctx, s, config)
}

// DeleteSubscription deletes a subscription that is still at the revision of the
// given one, with its journal and its dead letters, or returns ErrRevision.
func (e *Engine) DeleteSubscription(ctx context.Context, s *Subscription) error {
	return e.subscriptions.delete(ctx, s)
}

// SubscriptionGone returns a channel that is closed once a subscription is
// deleted, by whichever server.
func (e *Engine) SubscriptionGone(s *Subscription) <-chan struct{} {
	return e.subscriptions.whenGone(s)
}
