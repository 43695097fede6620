package engine

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// Configuration is that of a thing that has a name.
type Configuration interface {
	proto.Message
	GetFormat() int32
	GetUid() uint64
	GetDeleting() bool
}

// Entity is a thing as it was configured at one revision. It is immutable.
type Entity[C Configuration] struct {
	Name   string
	Config C
	// Revision increases with every change, over all entities of the kind.
	Revision uint64
}

// Topic is a topic as it was configured at one revision.
type Topic = Entity[*storagev1.TopicConfig]

// Subscription is a subscription as it was configured at one revision.
type Subscription = Entity[*storagev1.SubscriptionConfig]

// TopicOf returns the topic of a subscription, or ErrTopicNotFound: also where
// there is a later one of the same name.
func TopicOf(ctx context.Context, topics Topics, s *Subscription) (*Topic, error) {
	topic, err := topics.Topic(ctx, s.Config.GetTopic())
	if err == nil && topic.Config.GetUid() != s.Config.GetTopicUid() {
		return nil, ErrTopicNotFound
	}
	return topic, err
}

// TokenKeyBytes is the size of the key of a subscription's delivery tokens.
const TokenKeyBytes = 32

// Window is for how long a topic remembers an identity: for its whole window,
// even where retention has removed the event for its size. Where events are
// removed at an age that is less, it is that age.
func Window(config *storagev1.TopicConfig) time.Duration {
	window := config.GetDedupeWindow().AsDuration()
	if age := config.GetRetention().GetMaxAge(); age != nil {
		window = min(window, age.AsDuration())
	}
	return window
}
