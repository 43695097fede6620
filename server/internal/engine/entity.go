package engine

import (
	"context"
	"errors"

	"google.golang.org/protobuf/proto"

	storagev1 "example.com/tidings/gen/go/tidings/storage/v1"
)

// ConfigFormat is the form of configurations that this release writes.
const ConfigFormat = 1

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
	if err != nil && !errors.Is(err, ErrTopicNotFound) {
		return nil, err
	}
	return topic, err
}
