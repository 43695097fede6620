package jetstream

import (
	"context"

	"example.com/tidings/server/internal/engine"

	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// topicsBucket holds the configurations of the topics.
const topicsBucket = "tidings-topics"

func openTopics(ctx context.Context, e *Engine, progress func()) (*registry[*storagev1.TopicConfig], error) {
	return openRegistry(ctx, e, progress, kind[*storagev1.TopicConfig]{
		what:        "topic",
		bucket:      topicsBucket,
		description: "The configuration of every Tidings topic",
		notFound:    engine.ErrTopicNotFound,
		exists:      engine.ErrTopicExists,
		new:         func() *storagev1.TopicConfig { return new(storagev1.TopicConfig) },
		stamp: func(config *storagev1.TopicConfig, deleting bool) {
			config.Format, config.Deleting = engine.ConfigFormat, deleting
		},
		prepare: func(ctx context.Context, topic *engine.Topic) error {
			return e.align(ctx, e.topicStream(topic))
		},
		remove: func(ctx context.Context, topic *engine.Topic) error {
			return e.deleteStream(ctx, streamName(topic.Name))
		},
	})
}

// Topic implements engine.Topics.
func (e *Engine) Topic(ctx context.Context, name string) (*engine.Topic, error) {
	return call(ctx, func(ctx context.Context) (*engine.Topic, error) { return e.topics.get(ctx, name) })
}

// Topics implements engine.Topics.
func (e *Engine) Topics() []*engine.Topic { return e.topics.list() }

// CreateTopic implements engine.Topics.
func (e *Engine) CreateTopic(ctx context.Context, name string, config *storagev1.TopicConfig) (*engine.Topic, error) {
	return call(ctx, func(ctx context.Context) (*engine.Topic, error) { return e.topics.create(ctx, name, config) })
}

// UpdateTopic implements engine.Topics.
func (e *Engine) UpdateTopic(ctx context.Context, topic *engine.Topic, config *storagev1.TopicConfig) (*engine.Topic, error) {
	return call(ctx, func(ctx context.Context) (*engine.Topic, error) { return e.topics.update(ctx, topic, config) })
}

// DeleteTopic implements engine.Topics.
func (e *Engine) DeleteTopic(ctx context.Context, topic *engine.Topic) error {
	return do(ctx, func(ctx context.Context) error { return e.topics.delete(ctx, topic) })
}

// TopicGone implements engine.Topics.
func (e *Engine) TopicGone(topic *engine.Topic) <-chan struct{} { return e.topics.whenGone(topic) }
