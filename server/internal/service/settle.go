package service

import (
	"context"
	"crypto/rand"
	"errors"

	"google.golang.org/protobuf/proto"

	"example.com/tidings/server/internal/delivery"
	"example.com/tidings/server/internal/engine"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	replicav1 "example.com/tidings/server/internal/gen/tidings/replica/v1"
)

const (
	// maxAsked and maxAskedBytes bound the settlements that the owner is asked
	// to settle at once: between servers they are one NATS message.
	maxAsked      = 2000
	maxAskedBytes = 256 << 10

	defaultPullEvents = 100
	// maxPullBytes bounds the answer of a Pull, unless one event alone is larger.
	maxPullBytes = maxPageBytes
)

// settle settles deliveries. The results are in the order of the settlements. What
// is wrong with one is its own affair.
func (s *Service) settle(
	ctx context.Context, subscription *engine.Subscription, tokens *delivery.Tokens, settlements []*tidingsv1.Settlement,
) ([]*tidingsv1.SettlementResult, error) {
	results := make([]*tidingsv1.SettlementResult, len(settlements))
	ask := new(replicav1.Settle)
	var indexes []int
	size := 0
	flush := func() error {
		if len(indexes) == 0 {
			return nil
		}
		settled, err := s.settleNow(ctx, subscription, ask)
		for i, index := range indexes {
			results[index] = settled[i]
		}
		ask, indexes, size = new(replicav1.Settle), indexes[:0], 0
		return err
	}
	for i, settlement := range settlements {
		one, refused, err := settlementOf(settlement, tokens)
		if err != nil {
			return nil, err
		}
		if one == nil {
			results[i] = refused
			continue
		}
		ask.Settlements = append(ask.Settlements, one)
		indexes = append(indexes, i)
		const overhead = 64
		size += len(one.GetNack().GetReason()) + overhead
		if len(indexes) == maxAsked || size > maxAskedBytes {
			if err := flush(); err != nil {
				return nil, err
			}
		}
	}
	return results, flush()
}

// settleNow asks the owner. Where it isn't known what became of the settlements,
// they are UNKNOWN.
func (s *Service) settleNow(ctx context.Context, subscription *engine.Subscription, ask *replicav1.Settle) ([]*tidingsv1.SettlementResult, error) {
	bounded, cancel := context.WithTimeout(ctx, ownerTime)
	defer cancel()
	response, err := s.hub.Call(bounded, subscription, &replicav1.OwnerRequest{Request: &replicav1.OwnerRequest_Settle{Settle: ask}})
	switch {
	case errors.Is(err, engine.ErrSubscriptionNotFound), ctx.Err() != nil:
		return unknownResults(ask), subscriptionFault(err, subscription.Name)
	case err != nil || len(response.GetResults()) != len(ask.GetSettlements()):
		s.log.WarnContext(ctx, "settling", "subscription", subscription.Name, "error", err)
		return unknownResults(ask), nil
	}
	return response.GetResults(), nil
}

func unknownResults(ask *replicav1.Settle) []*tidingsv1.SettlementResult {
	results := make([]*tidingsv1.SettlementResult, len(ask.GetSettlements()))
	for i := range results {
		results[i] = &tidingsv1.SettlementResult{Status: tidingsv1.SettlementStatus_SETTLEMENT_STATUS_UNKNOWN}
	}
	return results
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
	response := new(tidingsv1.SettleResponse)
	response.Results, err = s.settle(ctx, subscription, delivery.NewTokens(subscription.Config), request.GetSettlements())
	if err != nil {
		return nil, err
	}
	if request.GetWindow() == nil {
		return response, nil
	}
	window := s.granted(request.GetWindow().GetWindow())
	// The settlements are settled, whatever became of the stream.
	if err := s.resize(ctx, subscription, request.GetWindow().GetStreamId(), window); err == nil {
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
	session := rand.Text()
	attached, err := s.hub.Call(ctx, subscription, &replicav1.OwnerRequest{Request: &replicav1.OwnerRequest_Attach{
		Attach: &replicav1.Attach{
			Session: session,
			Window:  &tidingsv1.FlowControl{MaxEvents: events, MaxBytes: max(maxPullBytes, int64(s.limits.MaxEventBytes))},
			Once:    true,
		},
	}})
	if err != nil {
		return nil, s.consumeFault(ctx, err, subscription)
	}
	sent := int64(0)
	defer func() { s.detach(ctx, subscription, session, sent) }()
	draining, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(s.draining, stop)()
	response, err := s.hub.Call(draining, subscription, &replicav1.OwnerRequest{Owner: attached.GetOwner(), Request: &replicav1.OwnerRequest_Lease{
		Lease: &replicav1.Lease{
			Session:   session,
			Number:    1,
			MaxEvents: events,
			MaxBytes:  int32(min(maxPullBytes, s.engine.MaxRecordBytes())),
			Wait:      request.GetMaxWait(),
		},
	}})
	if err != nil && ctx.Err() == nil && draining.Err() != nil {
		return new(tidingsv1.PullResponse), nil // Waiting is over: the server ends.
	}
	if err != nil {
		return nil, s.consumeFault(ctx, err, subscription)
	}
	// A DeliveryBatch has the deliveries where PullResponse has them.
	result := new(tidingsv1.PullResponse)
	if err := proto.Unmarshal(response.GetDeliveries(), result); err != nil {
		return nil, err
	}
	if ctx.Err() != nil { // Nobody waits for the answer.
		return nil, ctx.Err()
	}
	sent = 1
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
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), detachTime)
	defer cancel()
	if _, err := s.Settle(ctx, release); err != nil {
		s.log.WarnContext(ctx, "giving back what can't be sent", "subscription", request.GetSubscription(), "error", err)
	}
}
