package engine

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	storagev1 "example.com/tidings/gen/go/tidings/storage/v1"
)

// Topic is a topic as it was configured at one revision. It is immutable.
type Topic = Entity[*storagev1.TopicConfig]

func openTopics(ctx context.Context, e *Engine) (*registry[*storagev1.TopicConfig], error) {
	return openRegistry(ctx, e, kind[*storagev1.TopicConfig]{
		what:        "topic",
		bucket:      "tidings-topics",
		description: "The configuration of every Tidings topic",
		notFound:    ErrTopicNotFound,
		exists:      ErrTopicExists,
		new:         func() *storagev1.TopicConfig { return new(storagev1.TopicConfig) },
		stamp: func(config *storagev1.TopicConfig, deleting bool) {
			config.Format, config.Deleting = configFormat, deleting
		},
		prepare: func(ctx context.Context, topic *Topic) error {
			_, err := e.js.CreateOrUpdateStream(ctx, e.topicStream(topic))
			return translate(err)
		},
		remove: func(ctx context.Context, topic *Topic) error {
			return e.deleteStream(ctx, streamName(topic.Name))
		},
	})
}

// deleteStream deletes a stream where it exists.
func (e *Engine) deleteStream(ctx context.Context, name string) error {
	if err := e.js.DeleteStream(ctx, name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return translate(err)
	}
	return nil
}

// Topic returns a topic, or ErrTopicNotFound.
func (e *Engine) Topic(ctx context.Context, name string) (*Topic, error) {
	return e.topics.get(ctx, name)
}

// Topics returns every topic, ordered by name.
func (e *Engine) Topics() []*Topic { return e.topics.list() }

// CreateTopic creates a topic and its stream, or returns ErrTopicExists. It
// fills what the caller can't know: format.
func (e *Engine) CreateTopic(ctx context.Context, name string, config *storagev1.TopicConfig) (*Topic, error) {
	return e.topics.create(ctx, name, config)
}

// UpdateTopic changes the configuration of a topic that is still at the
// revision of the given one, or returns ErrRevision.
func (e *Engine) UpdateTopic(ctx context.Context, topic *Topic, config *storagev1.TopicConfig) (*Topic, error) {
	return e.topics.update(ctx, topic, config)
}

// DeleteTopic deletes a topic that is still at the revision of the given one,
// with its records, or returns ErrRevision.
func (e *Engine) DeleteTopic(ctx context.Context, topic *Topic) error {
	return e.topics.delete(ctx, topic)
}

// Gone returns a channel that is closed once a topic is deleted, by whichever
// server: JetStream's own consumers take a quarter of a minute to notice.
func (e *Engine) Gone(topic *Topic) <-chan struct{} { return e.topics.whenGone(topic) }

// bounded gives a context without a deadline the one of a call.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, callTimeout)
}

// FirstAt returns the lowest sequence of a record of a topic that was stored at
// a time or later, or the one after the last record where there is none.
func (e *Engine) FirstAt(ctx context.Context, topic *Topic, at time.Time) (uint64, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	state, err := e.State(ctx, topic)
	if err != nil {
		return 0, err
	}
	low, high := state.First, state.Last+1
	for low < high {
		middle := low + (high-low)/2
		record, err := e.Get(ctx, topic, middle)
		switch {
		case errors.Is(err, ErrRecordNotFound): // Removed meanwhile: so are those before.
			low = middle + 1
		case err != nil:
			return 0, err
		case record.Time.Before(at):
			low = middle + 1
		default:
			high = middle
		}
	}
	return low, nil
}
