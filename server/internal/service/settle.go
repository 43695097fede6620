package service

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	"example.com/tidings/server/internal/delivery"
	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/lease"

	"example.com/tidings/server/internal/telemetry"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

const (
	defaultPullEvents = 100
	// maxPullBytes bounds the response of a Pull, unless one event alone is larger.
	maxPullBytes = maxPageBytes
	// releaseTimeout bounds giving back what a Pull can't send.
	releaseTimeout = 3 * time.Second
)

// settle settles deliveries. The results are in the order of the settlements. What
// is wrong with one is its own affair.
func (s *Service) settle(
	ctx context.Context, subscription *engine.Subscription, tokens *delivery.Tokens, settlements []*tidingsv1.Settlement,
) ([]*tidingsv1.SettlementResult, error) {
	var results []*tidingsv1.SettlementResult // nil: none is refused.
	checked := make([]lease.Settlement, 0, len(settlements))
	for i, settlement := range settlements {
		one, refused, err := settlementOf(settlement, tokens)
		switch {
		case err != nil:
			return nil, err
		case refused == nil:
			checked = append(checked, one)
		default:
			if results == nil {
				results = make([]*tidingsv1.SettlementResult, len(settlements))
			}
			results[i] = refused
		}
	}
	settled, err := s.hub.Settle(ctx, subscription, checked)
	if err != nil {
		return nil, subscriptionFault(err, subscription.Name)
	}
	if results == nil {
		return settled, nil
	}
	for i, refused := range results {
		if refused == nil {
			results[i], settled = settled[0], settled[1:]
		}
	}
	return results, nil
}

// Settle implements tidings.v1.ConsumerService.
func (s *Service) Settle(ctx context.Context, request *tidingsv1.SettleRequest) (*tidingsv1.SettleResponse, error) {
	if err := checkCount("settlements", len(request.GetSettlements()), maxSettlements, ""); err != nil {
		return nil, err
	}
	subscription, err := s.subscription(ctx, request.GetSubscription(), "")
	if err != nil {
		return nil, err
	}
	s.describeSettle(ctx, subscription, len(request.GetSettlements()))
	response := new(tidingsv1.SettleResponse)
	response.Results, err = s.settle(ctx, subscription, delivery.NewTokens(subscription.Config), request.GetSettlements())
	if err != nil {
		return nil, err
	}
	telemetry.CallFrom(ctx).AddEvents(len(response.GetResults()))
	if request.GetWindow() == nil {
		return response, nil
	}
	window := s.granted(request.GetWindow().GetWindow())
	// The settlements are settled, whatever became of the stream.
	if err := s.hub.Resize(ctx, subscription, request.GetWindow().GetStreamId(), principalOf(ctx), window); err == nil {
		response.Window = window
	}
	return response, nil
}

// Pull implements tidings.v1.ConsumerService.
func (s *Service) Pull(ctx context.Context, request *tidingsv1.PullRequest) (*tidingsv1.PullResponse, error) {
	subscription, err := s.subscription(ctx, request.GetSubscription(), "")
	if err != nil {
		return nil, err
	}
	events := min(request.GetMaxEvents(), maxPullEvents)
	if events == 0 {
		events = defaultPullEvents
	}
	stream, err := s.hub.Open(ctx, subscription, delivery.StreamConfig{
		Window: &tidingsv1.FlowControl{MaxEvents: events, MaxBytes: max(maxPullBytes, int64(s.limits.MaxEventBytes))},
		Once:   true,
	})
	if err != nil {
		return nil, s.consumeFault(ctx, err, subscription)
	}
	defer stream.Close(ctx)
	draining, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(s.draining, stop)()
	batch, err := stream.Next(draining, delivery.BatchLimits{
		MaxEvents: events, MaxBytes: maxPullBytes, Wait: request.GetMaxWait().AsDuration(),
	})
	if err != nil && ctx.Err() == nil && draining.Err() != nil {
		return new(tidingsv1.PullResponse), nil // Waiting is over: the server ends.
	}
	if err != nil {
		return nil, s.consumeFault(ctx, err, subscription)
	}
	if span := s.tracer.Current(ctx); span.IsRecording() {
		describeDeliveries(span, subscription, batch.Deliveries())
	}
	// A DeliveryBatch has the deliveries where PullResponse has them.
	result := new(tidingsv1.PullResponse)
	if err := proto.Unmarshal(batch.Deliveries(), result); err != nil {
		return nil, err
	}
	batch.Free()          // It was copied.
	if ctx.Err() != nil { // Nobody waits for the response.
		return nil, ctx.Err()
	}
	stream.Sent()
	telemetry.CallFrom(ctx).AddEvents(len(result.GetDeliveries()))
	return result, nil
}

// Release gives back what a Pull returned and can't be sent, so that it counts no
// attempt.
func (s *Service) Release(ctx context.Context, request *tidingsv1.PullRequest, response *tidingsv1.PullResponse) {
	release := &tidingsv1.SettleRequest{Subscription: request.GetSubscription()}
	for _, delivery := range response.GetDeliveries() {
		release.Settlements = append(release.Settlements, &tidingsv1.Settlement{
			DeliveryToken: delivery.GetDeliveryToken(),
			Action:        &tidingsv1.Settlement_Nack{Nack: &tidingsv1.Nack{Kind: tidingsv1.NackKind_NACK_KIND_RELEASE}},
		})
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	if _, err := s.Settle(ctx, release); err != nil {
		s.log.WarnContext(ctx, "giving back what can't be sent", "subscription", request.GetSubscription(), "error", err)
	}
}
