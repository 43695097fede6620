package service

import (
	"context"
	"strings"

	"example.com/tidings/server/internal/delivery"
	"example.com/tidings/server/internal/eventlog"
	"example.com/tidings/server/internal/quota"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// GetServerInfo implements tidings.v1.ServerService.
func (s *Service) GetServerInfo(ctx context.Context, _ *tidingsv1.GetServerInfoRequest) (*tidingsv1.GetServerInfoResponse, error) {
	return &tidingsv1.GetServerInfoResponse{
		Version: s.version,
		Limits: &tidingsv1.Limits{
			MaxRequestBytes:                int64(s.limits.MaxRequestBytes),
			MaxEventBytes:                  int64(s.limits.MaxEventBytes),
			MaxEventsPerRequest:            eventlog.MaxEvents,
			MaxEventsPerDedupeEventRequest: int32(s.engine.Features().MaxEach),
			MaxUnsettledEvents:             delivery.MaxUnsettled,
			MaxTopics:                      int32(s.limits.MaxTopics),
			MaxSubscriptions:               int32(s.limits.MaxSubscriptions),
			MaxWindowEvents:                maxWindowEvents,
			MaxWindowBytes:                 maxWindowBytes,
			MaxSettlementsPerRequest:       maxSettlements,
			MaxCallsPerConnection:          int32(s.limits.MaxConnectionCalls),
			MaxHeaderBytes:                 int32(s.limits.MaxHeaderBytes),
		},
		Quota:      quotaOf(ctx),
		Durability: s.durability,
		Features:   s.features(),
	}, nil
}

// quotaOf is what the caller may use. nil: as much as it likes.
func quotaOf(ctx context.Context) *tidingsv1.Quota {
	limits := quota.FromContext(ctx).Limits()
	if limits == (quota.Limits{}) {
		return nil
	}
	return &tidingsv1.Quota{
		RequestsPerSecond: limits.Requests, EventsPerSecond: limits.Events,
		BytesPerSecond: limits.Bytes, Streams: limits.Streams,
	}
}

// features are the names of what the server has, in the order of the contract.
func (s *Service) features() []string {
	var names []string
	values := tidingsv1.Feature(0).Descriptor().Values()
	for i := range values.Len() {
		feature := tidingsv1.Feature(values.Get(i).Number())
		if has, _ := s.has(feature); has {
			names = append(names, strings.TrimPrefix(feature.String(), "FEATURE_"))
		}
	}
	return names
}

// has reports whether the server has a feature. One that isn't known here was added
// to the contract without a decision.
func (s *Service) has(feature tidingsv1.Feature) (has, known bool) {
	engine := s.engine.Features()
	switch feature {
	case tidingsv1.Feature_FEATURE_SUBSCRIPTIONS,
		tidingsv1.Feature_FEATURE_CEL_FILTERS,
		tidingsv1.Feature_FEATURE_DECLARED_TOPICS,
		tidingsv1.Feature_FEATURE_EVENT_TYPE_REVISIONS:
		return true, true
	case tidingsv1.Feature_FEATURE_SCHEMA_REGISTRATION:
		return s.schemas.Compares(), true
	case tidingsv1.Feature_FEATURE_KEY_PRECONDITIONS:
		return engine.KeyPreconditions, true
	case tidingsv1.Feature_FEATURE_MULTIPLE_PRECONDITIONS:
		return engine.ManyPreconditions, true
	case tidingsv1.Feature_FEATURE_EXACT_COUNTS:
		return engine.ExactCount, true
	case tidingsv1.Feature_FEATURE_KEY_INDEX:
		return engine.KeyIndex, true
	default:
		return false, feature == tidingsv1.Feature_FEATURE_UNSPECIFIED
	}
}
