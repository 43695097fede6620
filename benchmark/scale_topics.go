package main

import (
	"context"
	"fmt"
	"time"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// manyTopics measures topics and subscriptions that nobody uses. There is an
// event in each topic.
func (s *scaling) manyTopics(ctx context.Context, server *scaleServer) error {
	empty, err := server.settled(ctx)
	if err != nil {
		return err
	}
	created, err := server.createMany(ctx, s.cfg.scale.topics)
	if err != nil {
		return err
	}
	count := thousands(float64(s.cfg.scale.topics))
	what := count + " topics with an event, " + count + " subscriptions: "
	s.foundf(what+"create", "", "%.1f s", created.Seconds())
	ready, err := server.restart(ctx)
	if err != nil {
		return err
	}
	s.foundf(what+"restart", "10 s", "%.2f s", ready.Seconds())
	idle, err := server.settled(ctx)
	if err != nil {
		return err
	}
	s.foundf(what+"memory, with none and with all", "", "%.0f, %.0f MB", megabytes(empty.memory), megabytes(idle.memory))
	s.foundf(what+"memory of each pair", "10 kB", "%.1f kB", float64(idle.memory-empty.memory)/1e3/float64(s.cfg.scale.topics))
	s.foundf(what+"descriptors, with none and with all", "as many", "%d, %d", empty.descriptors, idle.descriptors)
	return nil
}

func (s *scaleServer) createMany(ctx context.Context, count int) (time.Duration, error) {
	topics, subscriptions := tidingsv1.NewTopicServiceClient(s.typed), tidingsv1.NewSubscriptionServiceClient(s.typed)
	publisher := tidingsv1.NewPublisherServiceClient(s.typed)
	return inParallel(ctx, manyCallers, count, func(ctx context.Context, i int) error {
		topic := fmt.Sprintf("scale-%d", i)
		if _, err := topics.CreateTopic(ctx, &tidingsv1.CreateTopicRequest{Topic: &tidingsv1.Topic{Name: topic}}); err != nil {
			return err
		}
		event, err := newEvent(i, 0)
		if err != nil {
			return err
		}
		if _, err := publisher.Publish(ctx, &tidingsv1.PublishRequest{Topic: topic, Events: []*tidingsv1.Event{event}}); err != nil {
			return err
		}
		_, err = subscriptions.CreateSubscription(ctx, &tidingsv1.CreateSubscriptionRequest{
			Subscription: &tidingsv1.Subscription{Name: topic, Topic: topic},
		})
		return err
	})
}
