package service

import (
	"context"
	"errors"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/tidings/server/internal/engine"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// UpdateSubscription implements tidings.v1.SubscriptionService.
func (s *Service) UpdateSubscription(ctx context.Context, request *tidingsv1.UpdateSubscriptionRequest) (*tidingsv1.UpdateSubscriptionResponse, error) {
	wanted := request.GetSubscription()
	for {
		updated, err := s.updateSubscription(ctx, wanted, request.GetUpdateMask())
		switch {
		case err == nil:
			return s.updatedSubscription(ctx, updated)
		case !errors.Is(err, engine.ErrRevision):
			return nil, subscriptionFault(err, wanted.GetName())
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
		// Another change came first. With an etag the next try says so.
	}
}

// updatedSubscription returns when the owner has taken note of the change.
func (s *Service) updatedSubscription(ctx context.Context, updated *engine.Subscription) (*tidingsv1.UpdateSubscriptionResponse, error) {
	if err := s.hub.Refresh(ctx, updated); err != nil {
		return nil, subscriptionFault(err, updated.Name)
	}
	result, err := s.subscriptionProto(ctx, updated)
	return &tidingsv1.UpdateSubscriptionResponse{Subscription: result}, err
}

// updateSubscription returns engine.ErrRevision where another change comes
// first.
func (s *Service) updateSubscription(ctx context.Context, wanted *tidingsv1.Subscription, mask *fieldmaskpb.FieldMask) (*engine.Subscription, error) {
	subscription, err := s.subscription(ctx, wanted.GetName(), wanted.GetEtag())
	if err != nil {
		return nil, err
	}
	changed := settingsOfSubscription(subscription)
	if err := update(changed, wanted, mask, "subscription"); err != nil {
		return nil, err
	}
	config := proto.CloneOf(subscription.Config)
	setSubscription(config, changed)
	if proto.Equal(config, subscription.Config) {
		return subscription, nil
	}
	if err := checkRules(config.GetRetryPolicy(), tidingsv1.ErrorReason_ERROR_REASON_REQUEST_INVALID,
		fieldPath("subscription"), fieldPath("retry_policy")); err != nil {
		return nil, err
	}
	if !proto.Equal(config.GetFilter(), subscription.Config.GetFilter()) {
		topic, err := s.attached(ctx, subscription)
		if err != nil {
			return nil, err
		}
		if err := s.checkFilter(topic, config.GetFilter(), "subscription.filter"); err != nil {
			return nil, err
		}
	}
	config.UpdateTime = timestamppb.Now()
	return s.engine.UpdateSubscription(ctx, subscription, config)
}
