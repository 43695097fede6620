package service

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/sync/semaphore"

	"example.com/tidings/server/internal/guard"
	"example.com/tidings/server/internal/schema"
	"example.com/tidings/server/internal/telemetry"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// countPublished counts the events of a batch that is stored. Events of one type that
// follow one another are counted at once.
func (s *Service) countPublished(ctx context.Context, p *publication, receipts []tidingsv1.Receipt) {
	if len(receipts) == 0 {
		return
	}
	topic, duplicates := s.metrics.Topic(p.topic.Name), 0
	var of *schema.Type
	stored := 0
	for i := range receipts {
		if receipts[i].GetDuplicate() {
			duplicates++
			continue
		}
		if p.accepted[i].of != of && stored > 0 {
			topic.Published(of.Name).Add(float64(stored))
			stored = 0
		}
		of = p.accepted[i].of
		stored++
	}
	if stored > 0 {
		topic.Published(of.Name).Add(float64(stored))
	}
	if duplicates > 0 {
		topic.Duplicates.Add(float64(duplicates))
	}
	if duplicates < len(receipts) {
		topic.Bytes.Add(float64(len(p.batch.Data)))
	}
	telemetry.CallFrom(ctx).AddEvents(len(receipts))
}

// countRefused counts an event that was found to be wrong. Types that the schemas
// don't have are what a client makes up, so they aren't told apart.
func (s *Service) countRefused(types *schema.Set, name string, err error) {
	label := telemetry.Other
	if of, unknown := types.Type(name); unknown == nil {
		label = of.Name
	}
	reason, rule := "INTERNAL", ""
	if known, ok := errors.AsType[*Error](err); ok {
		reason = known.Name()
		if violations := known.Violations.GetViolations(); len(violations) > 0 {
			rule = violations[0].GetRuleId()
		}
	}
	s.metrics.EventRefused(label, reason, rule)
}

// maxInspected bounds the subscriptions whose states are asked for at a time.
const maxInspected = 8

// SubscriptionStates returns what is known of some subscriptions for the metrics.
// Those that don't answer before the context ends are left out.
func (s *Service) SubscriptionStates(ctx context.Context, names []string) []telemetry.SubscriptionState {
	var mu sync.Mutex
	var states []telemetry.SubscriptionState
	var asking guard.Group
	room := semaphore.NewWeighted(maxInspected)
	for _, name := range names {
		if room.Acquire(ctx, 1) != nil {
			break
		}
		asking.Go(func() error {
			defer room.Release(1)
			state, err := s.subscriptionState(ctx, name)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			states = append(states, state)
			return nil
		}, func(err error) {
			if err != nil {
				s.log.DebugContext(ctx, "no metrics of a subscription", "subscription", name, "error", err)
			}
		})
	}
	asking.Wait()
	return states
}

func (s *Service) subscriptionState(ctx context.Context, name string) (telemetry.SubscriptionState, error) {
	subscription, err := s.engine.Subscription(ctx, name)
	if err != nil {
		return telemetry.SubscriptionState{}, err
	}
	found, err := s.hub.Inspect(ctx, subscription)
	if err != nil {
		return telemetry.SubscriptionState{}, err
	}
	state := telemetry.SubscriptionState{
		Name:        name,
		Backlog:     found.GetBacklogEvents(),
		InFlight:    found.GetInFlightEvents(),
		Retrying:    found.GetRetryingEvents(),
		Blocked:     found.GetBlockedEvents(),
		DeadLetters: found.GetDeadLetteredEvents(),
		Consumers:   int64(found.GetConsumers()),
	}
	if oldest := found.GetOldestUnsettledPublishTime(); oldest != nil {
		state.Oldest = oldest.AsTime()
	}
	return state, nil
}

// TopicNames returns the names of all topics, in order. It doesn't block.
func (s *Service) TopicNames() []string {
	topics := s.engine.Topics()
	names := make([]string, len(topics))
	for i, topic := range topics {
		names[i] = topic.Name
	}
	return names
}

// SubscriptionNames returns the names of all subscriptions, in order. It doesn't block.
func (s *Service) SubscriptionNames() []string {
	subscriptions := s.engine.Subscriptions()
	names := make([]string, len(subscriptions))
	for i, subscription := range subscriptions {
		names[i] = subscription.Name
	}
	return names
}
