package jetstream

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"example.com/tidings/server/internal/engine"
)

func streamName(topic string) string { return "tidings-topic-" + topic }

func (e *Engine) topicStream(topic *engine.Topic) jetstream.StreamConfig {
	config := topic.Config
	stream := jetstream.StreamConfig{
		Name:               streamName(topic.Name),
		Description:        "Records of the Tidings topic " + topic.Name,
		Subjects:           []string{subject(topic.Name, ""), subject(topic.Name, "*")},
		MaxAge:             config.GetRetention().GetMaxAge().AsDuration(),
		MaxBytes:           -1,
		AllowAtomicPublish: true,
		// JetStream wants no longer one than MaxAge.
		Duplicates: max(engine.Window(config), minDuplicates),
	}
	if bytes := config.GetRetention().GetMaxBytes(); bytes > 0 {
		stream.MaxBytes = bytes
	}
	return stream
}

// minDuplicates is JetStream's lower bound of a window.
const minDuplicates = 100 * time.Millisecond

// align creates a stream, or brings one in line. What the configuration of a
// stream has beside is whoever's who set it, and copies are never taken away.
func (e *Engine) align(ctx context.Context, want jetstream.StreamConfig) error {
	want.Storage, want.Retention, want.Discard = jetstream.FileStorage, jetstream.LimitsPolicy, jetstream.DiscardOld
	want.MaxMsgs, want.MaxMsgsPerSubject, want.MaxMsgSize = -1, -1, -1
	want.MaxConsumers = e.maxConsumers
	want.Replicas = int(e.replicas.Load())
	for {
		info, err := e.asks.info(ctx, want.Name)
		if missing(err) {
			_, err = e.asks.js.CreateStream(ctx, want)
			if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // Another server was faster.
				continue
			}
			return err
		}
		if err != nil {
			return err
		}
		config := info.Config
		config.Description, config.Subjects = want.Description, want.Subjects
		config.MaxAge, config.MaxBytes, config.Duplicates = want.MaxAge, want.MaxBytes, want.Duplicates
		config.MaxMsgs, config.MaxMsgsPerSubject, config.MaxMsgSize = want.MaxMsgs, want.MaxMsgsPerSubject, want.MaxMsgSize
		config.AllowAtomicPublish, config.MaxConsumers = want.AllowAtomicPublish, want.MaxConsumers
		config.Replicas = max(config.Replicas, want.Replicas)
		if reflect.DeepEqual(config, info.Config) {
			return nil
		}
		_, err = e.asks.js.UpdateStream(ctx, config)
		return err
	}
}

// missing reports whether JetStream knows of no such stream.
func missing(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == codeStreamNotFound
}

// deleteStream deletes a stream where it exists.
func (e *Engine) deleteStream(ctx context.Context, name string) error {
	if err := e.asks.js.DeleteStream(ctx, name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return translate(ctx, err)
	}
	return nil
}

// copies gives the stream of a bucket as many copies as were asked for, or learns
// that it has more: then another server was asked for more, and all streams get
// as many.
func (e *Engine) copies(ctx context.Context, bucket string) error {
	info, err := e.asks.info(ctx, bucketStream(bucket))
	if err != nil {
		return err
	}
	want := e.replicas.Load()
	switch have := int64(info.Config.Replicas); {
	case have < want:
		config := info.Config
		config.Replicas = int(want)
		if _, err := e.asks.js.UpdateStream(ctx, config); err != nil {
			return fmt.Errorf("%d replicas: %w", want, err)
		}
	case have > want:
		e.log.Warn("JetStream keeps more replicas than were asked for: they are kept, and new streams get as many",
			"asked", want, "replicas", have)
		e.replicas.Store(have)
	}
	return nil
}
