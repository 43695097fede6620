package service

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/tidings/server/internal/auth"
	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/eventlog"
	"example.com/tidings/server/internal/filter"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// What a subscription has where nothing else is asked for.
const (
	defaultAckDeadline = 30 * time.Second
	defaultMinBackoff  = time.Second
	defaultMaxBackoff  = 5 * time.Minute
	defaultMultiplier  = 2
	defaultMaxAttempts = 10
)

func newSubscriptionConfig(s *tidingsv1.Subscription, topic *engine.Topic) *storagev1.SubscriptionConfig {
	random := make([]byte, engine.TokenKeyBytes+8)
	rand.Read(random)
	config := &storagev1.SubscriptionConfig{
		Uid:        binary.BigEndian.Uint64(random[engine.TokenKeyBytes:]),
		TokenKey:   random[:engine.TokenKeyBytes],
		Topic:      topic.Name,
		TopicUid:   topic.Config.GetUid(),
		Ordering:   s.GetOrdering(),
		CreateTime: timestamppb.Now(),
		UpdateTime: timestamppb.Now(),
	}
	if config.GetOrdering() == tidingsv1.Ordering_ORDERING_UNSPECIFIED {
		config.Ordering = tidingsv1.Ordering_ORDERING_NONE
	}
	setSubscription(config, s)
	return config
}

// setSubscription puts the settings that can change, with the defaults of what is
// unset, into a configuration.
func setSubscription(config *storagev1.SubscriptionConfig, s *tidingsv1.Subscription) {
	config.Description = s.GetDescription()
	config.Filter = s.GetFilter()
	config.AckDeadline = s.GetAckDeadline()
	config.RetryPolicy = retryPolicy(s.GetRetryPolicy())
	config.ExpireAfterIdle = s.GetExpireAfterIdle()
	config.Paused = s.GetPaused()
	if config.GetAckDeadline() == nil {
		config.AckDeadline = durationpb.New(defaultAckDeadline)
	}
}

// retryPolicy is a policy with the defaults of what is unset.
func retryPolicy(asked *tidingsv1.RetryPolicy) *tidingsv1.RetryPolicy {
	policy := new(tidingsv1.RetryPolicy)
	proto.Merge(policy, asked)
	if policy.GetMinBackoff() == nil {
		policy.MinBackoff = durationpb.New(defaultMinBackoff)
	}
	if policy.GetMaxBackoff() == nil {
		policy.MaxBackoff = durationpb.New(max(defaultMaxBackoff, policy.GetMinBackoff().AsDuration()))
	}
	if policy.Multiplier == nil {
		policy.Multiplier = proto.Float64(defaultMultiplier)
	}
	if policy.GetAttempts() == nil {
		policy.Attempts = &tidingsv1.RetryPolicy_MaxAttempts{MaxAttempts: defaultMaxAttempts}
	}
	return policy
}

// settingsOfSubscription is a subscription with what its maker may set.
func settingsOfSubscription(subscription *engine.Subscription) *tidingsv1.Subscription {
	config := subscription.Config
	policy := proto.CloneOf(config.GetRetryPolicy())
	if policy != nil {
		policy.MinBackoff, policy.MaxBackoff = valid(policy.GetMinBackoff()), valid(policy.GetMaxBackoff())
	}
	return &tidingsv1.Subscription{
		Name:            subscription.Name,
		Topic:           config.GetTopic(),
		Description:     config.GetDescription(),
		Filter:          config.GetFilter(),
		Ordering:        config.GetOrdering(),
		AckDeadline:     valid(config.GetAckDeadline()),
		RetryPolicy:     policy,
		ExpireAfterIdle: valid(config.GetExpireAfterIdle()),
		Paused:          config.GetPaused(),
	}
}

func (s *Service) subscriptionProto(ctx context.Context, subscription *engine.Subscription) (*tidingsv1.Subscription, error) {
	config := subscription.Config
	_, err := engine.TopicOf(ctx, s.engine, subscription)
	detached := errors.Is(err, engine.ErrTopicNotFound)
	if err != nil && !detached {
		return nil, storageFault(err, config.GetTopic())
	}
	result := settingsOfSubscription(subscription)
	result.Etag = etagOf(subscription.Revision)
	result.CreateTime, result.UpdateTime = config.GetCreateTime(), config.GetUpdateTime()
	result.Detached = detached
	return result, nil
}

// subscription returns a subscription whose etag, unless the given one is empty,
// is the given one.
func (s *Service) subscription(ctx context.Context, name, etag string) (*engine.Subscription, error) {
	subscription, err := s.engine.Subscription(ctx, name)
	if err != nil {
		return nil, subscriptionFault(err, name)
	}
	if now := etagOf(subscription.Revision); etag != "" && etag != now {
		return nil, subscriptionEtagMismatch(name, now)
	}
	return subscription, nil
}

// attached returns the topic of a subscription, or SUBSCRIPTION_DETACHED.
func (s *Service) attached(ctx context.Context, subscription *engine.Subscription) (*engine.Topic, error) {
	topic, err := engine.TopicOf(ctx, s.engine, subscription)
	if errors.Is(err, engine.ErrTopicNotFound) {
		return nil, detachedFault(subscription)
	}
	return topic, storageFault(err, subscription.Config.GetTopic())
}

func detachedFault(subscription *engine.Subscription) error {
	name, topic := subscription.Name, subscription.Config.GetTopic()
	return fault(tidingsv1.ErrorReason_ERROR_REASON_SUBSCRIPTION_DETACHED,
		fmt.Sprintf("the topic %q of subscription %q has been deleted", topic, name), "subscription", name, "topic", topic)
}

// detachedMeanwhile turns the error that the topic of a subscription is gone, which
// was there a moment ago, into that of the subscription.
func detachedMeanwhile(err error, subscription *engine.Subscription) error {
	if known, ok := errors.AsType[*Error](err); ok && known.Reason == tidingsv1.ErrorReason_ERROR_REASON_TOPIC_NOT_FOUND {
		return detachedFault(subscription)
	}
	return err
}

// checkFilter says what is wrong with a filter for a topic. field is its path.
func (s *Service) checkFilter(topic *engine.Topic, f *tidingsv1.EventFilter, field string) error {
	_, err := s.compileFilter(topic, f, field)
	return err
}

func (s *Service) compileFilter(topic *engine.Topic, f *tidingsv1.EventFilter, field string) (*filter.Matcher, error) {
	types := s.Types()
	matcher, err := filter.Compile(f, types, filter.TopicTypes(topic.Name, topic.Config, types))
	return matcher, filterFault(err, field)
}

// CreateSubscription implements tidings.v1.SubscriptionService.
func (s *Service) CreateSubscription(ctx context.Context, request *tidingsv1.CreateSubscriptionRequest) (*tidingsv1.CreateSubscriptionResponse, error) {
	wanted := request.GetSubscription()
	if wanted.GetTopic() == "" {
		return nil, fieldFault(tidingsv1.ErrorReason_ERROR_REASON_REQUEST_INVALID, "subscription.topic", "must be set")
	}
	topic, err := s.engine.Topic(ctx, wanted.GetTopic())
	if err != nil {
		return nil, storageFault(err, wanted.GetTopic())
	}
	if err := s.checkFilter(topic, wanted.GetFilter(), "subscription.filter"); err != nil {
		return nil, err
	}
	config := newSubscriptionConfig(wanted, topic)
	if config.StartSequence, config.NotBefore, err = s.firstOf(ctx, topic, "start", request.GetStart()); err != nil {
		return nil, err
	}
	if limit := s.limits.MaxSubscriptions; limit > 0 && len(s.engine.Subscriptions()) >= limit {
		if _, err := s.engine.Subscription(ctx, wanted.GetName()); errors.Is(err, engine.ErrSubscriptionNotFound) {
			return nil, tooMany("subscriptions", limit)
		}
	}
	created, err := s.engine.CreateSubscription(ctx, wanted.GetName(), config)
	if errors.Is(err, engine.ErrSubscriptionExists) {
		return nil, fault(tidingsv1.ErrorReason_ERROR_REASON_SUBSCRIPTION_ALREADY_EXISTS,
			fmt.Sprintf("subscription %q exists", wanted.GetName()), "subscription", wanted.GetName())
	}
	if err != nil {
		return nil, subscriptionFault(err, wanted.GetName())
	}
	result, err := s.subscriptionProto(ctx, created)
	return &tidingsv1.CreateSubscriptionResponse{Subscription: result}, err
}

// GetSubscription implements tidings.v1.SubscriptionService.
func (s *Service) GetSubscription(ctx context.Context, request *tidingsv1.GetSubscriptionRequest) (*tidingsv1.GetSubscriptionResponse, error) {
	subscription, err := s.subscription(ctx, request.GetName(), "")
	if err != nil {
		return nil, err
	}
	result, err := s.subscriptionProto(ctx, subscription)
	if err != nil {
		return nil, err
	}
	result.Statistics, err = s.hub.Inspect(ctx, subscription)
	if err != nil {
		return nil, subscriptionFault(err, subscription.Name)
	}
	return &tidingsv1.GetSubscriptionResponse{Subscription: result}, nil
}

// ListSubscriptions implements tidings.v1.SubscriptionService. It lists what its
// caller may know of.
func (s *Service) ListSubscriptions(ctx context.Context, request *tidingsv1.ListSubscriptionsRequest) (*tidingsv1.ListSubscriptionsResponse, error) {
	var list []*engine.Subscription
	for _, subscription := range s.engine.Subscriptions() {
		topic := request.GetTopic()
		if (topic == "" || topic == subscription.Config.GetTopic()) && sees(ctx, auth.Permission{Subscription: subscription.Name}) {
			list = append(list, subscription)
		}
	}
	page, next, err := paginate(list, func(s *engine.Subscription) string { return s.Name },
		func(shown *engine.Subscription) (*tidingsv1.Subscription, error) {
			return s.subscriptionProto(ctx, shown)
		},
		"subscriptions\x00"+request.GetTopic(), request.GetPageSize(), request.GetPageToken())
	return &tidingsv1.ListSubscriptionsResponse{Subscriptions: page, NextPageToken: next}, err
}

// DeleteSubscription implements tidings.v1.SubscriptionService.
func (s *Service) DeleteSubscription(ctx context.Context, request *tidingsv1.DeleteSubscriptionRequest) (*tidingsv1.DeleteSubscriptionResponse, error) {
	for {
		subscription, err := s.subscription(ctx, request.GetName(), request.GetEtag())
		if err != nil {
			return nil, err
		}
		err = s.engine.DeleteSubscription(ctx, subscription)
		switch {
		case err == nil:
			return &tidingsv1.DeleteSubscriptionResponse{}, nil
		case !errors.Is(err, engine.ErrRevision):
			return nil, subscriptionFault(err, subscription.Name)
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
	}
}

// SeekSubscription implements tidings.v1.SubscriptionService.
func (s *Service) SeekSubscription(ctx context.Context, request *tidingsv1.SeekSubscriptionRequest) (*tidingsv1.SeekSubscriptionResponse, error) {
	subscription, err := s.subscription(ctx, request.GetName(), "")
	if err != nil {
		return nil, err
	}
	topic, err := s.attached(ctx, subscription)
	if err != nil {
		return nil, err
	}
	first, notBefore, err := s.firstOf(ctx, topic, "position", request.GetPosition())
	if err != nil {
		return nil, detachedMeanwhile(err, subscription)
	}
	state, err := s.engine.State(ctx, topic)
	if err != nil {
		return nil, detachedMeanwhile(storageFault(err, topic.Name), subscription)
	}
	previous, err := s.hub.Seek(ctx, subscription, first, notBefore)
	if err != nil {
		return nil, subscriptionFault(err, subscription.Name)
	}
	uid := topic.Config.GetUid()
	previous = max(previous, state.First) // What retention removed nobody gets back.
	return &tidingsv1.SeekSubscriptionResponse{Cursor: eventlog.Cursor(uid, first-1), PreviousCursor: eventlog.Cursor(uid, previous-1)}, nil
}

func subscriptionEtagMismatch(name, now string) error {
	return fault(tidingsv1.ErrorReason_ERROR_REASON_SUBSCRIPTION_ETAG_MISMATCH,
		fmt.Sprintf("subscription %q has been changed: its etag is now %s", name, now), "subscription", name, "etag", now)
}
