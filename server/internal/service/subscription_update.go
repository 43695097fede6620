package service

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/tidings/server/internal/engine"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	replicav1 "example.com/tidings/server/internal/gen/tidings/replica/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// UpdateSubscription implements tidings.v1.SubscriptionService.
func (s *Service) UpdateSubscription(ctx context.Context, request *tidingsv1.UpdateSubscriptionRequest) (*tidingsv1.UpdateSubscriptionResponse, error) {
	wanted := request.GetSubscription()
	for {
		updated, err := s.updateSubscription(ctx, wanted, request.GetUpdateMask().GetPaths())
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
	if _, err := s.hub.Call(ctx, updated, &replicav1.OwnerRequest{Request: &replicav1.OwnerRequest_Refresh{
		Refresh: &replicav1.Refresh{Revision: updated.Revision},
	}}); err != nil {
		return nil, subscriptionFault(err, updated.Name)
	}
	result, err := s.subscriptionProto(ctx, updated)
	return &tidingsv1.UpdateSubscriptionResponse{Subscription: result}, err
}

// updateSubscription returns engine.ErrRevision where another change comes
// first.
func (s *Service) updateSubscription(ctx context.Context, wanted *tidingsv1.Subscription, mask []string) (*engine.Subscription, error) {
	subscription, err := s.subscription(ctx, wanted.GetName(), wanted.GetEtag())
	if err != nil {
		return nil, err
	}
	config := proto.CloneOf(subscription.Config)
	if err := applySubscriptionMask(config, wanted, mask); err != nil {
		return nil, err
	}
	settleSubscription(config)
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

// applySubscriptionMask sets the fields that an update mask names. Without a
// mask it sets those that have a value.
func applySubscriptionMask(config *storagev1.SubscriptionConfig, wanted *tidingsv1.Subscription, mask []string) error {
	if len(mask) == 0 {
		for path, set := range map[string]bool{
			"description":       wanted.GetDescription() != "",
			"filter":            wanted.GetFilter() != nil,
			"ack_deadline":      wanted.GetAckDeadline() != nil,
			"retry_policy":      wanted.GetRetryPolicy() != nil,
			"expire_after_idle": wanted.GetExpireAfterIdle() != nil,
			"paused":            wanted.GetPaused(),
		} {
			if set {
				mask = append(mask, path)
			}
		}
	}
	policy := config.GetRetryPolicy()
	for i, path := range mask {
		switch path {
		case "description":
			config.Description = wanted.GetDescription()
		case "filter":
			config.Filter = wanted.GetFilter()
		case "ack_deadline":
			config.AckDeadline = wanted.GetAckDeadline()
		case "retry_policy":
			policy = new(tidingsv1.RetryPolicy)
			proto.Merge(policy, wanted.GetRetryPolicy())
			config.RetryPolicy = policy
		case "retry_policy.min_backoff":
			policy.MinBackoff = wanted.GetRetryPolicy().GetMinBackoff()
		case "retry_policy.max_backoff":
			policy.MaxBackoff = wanted.GetRetryPolicy().GetMaxBackoff()
		case "retry_policy.multiplier":
			policy.Multiplier = wanted.GetRetryPolicy().GetMultiplier()
		case "retry_policy.max_attempts":
			policy.MaxAttempts = wanted.GetRetryPolicy().GetMaxAttempts()
		case "expire_after_idle":
			config.ExpireAfterIdle = wanted.GetExpireAfterIdle()
		case "paused":
			config.Paused = wanted.GetPaused()
		default:
			return fieldFault(tidingsv1.ErrorReason_ERROR_REASON_UPDATE_MASK_INVALID,
				fmt.Sprintf("update_mask.paths[%d]", i), fmt.Sprintf("%q is not a field that can be changed", path))
		}
	}
	return nil
}
