package main

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"example.com/tidings/client"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

const (
	// consumerHandlers is how many handlers of client.Consumer run at a time.
	consumerHandlers = 8
	// consumerKeys is how many keys events have that are consumed in the order of these.
	consumerKeys = 10_000
)

// consumeClient empties a subscription with client.Consumer.
func (t *tidings) consumeClient(ctx context.Context) (time.Duration, error) {
	return t.consume(ctx, t.consumeHandled)
}

// consumeOrdered empties one that is ordered by key.
func (t *tidings) consumeOrdered(ctx context.Context) (time.Duration, error) {
	topic, err := t.keyedTopic(ctx)
	if err != nil {
		return 0, err
	}
	return t.consumeFrom(ctx, &tidingsv1.Subscription{Topic: topic, Ordering: tidingsv1.Ordering_ORDERING_KEY}, t.consumeHandled)
}

// keyedTopic returns a topic with as many orders as there are events, of fewer keys. It is
// written the first time, and kept.
func (t *tidings) keyedTopic(ctx context.Context) (string, error) {
	if t.keyed != "" {
		return t.keyed, nil
	}
	var requests [][]byte
	for i := 0; i < len(t.data.events); i += t.data.batch {
		request := new(tidingsv1.PublishRequest)
		for number := i; number < i+t.data.batch; number++ {
			event, err := newOrder(number, fmt.Sprintf("order-%012d", number%consumerKeys), len(t.data.events[number].GetSubject()))
			if err != nil {
				return "", err
			}
			request.Events = append(request.GetEvents(), event)
		}
		encoded, err := proto.Marshal(request)
		if err != nil {
			return "", err
		}
		requests = append(requests, encoded)
	}
	written := t.topic
	t.topic = "" // It isn't replaced.
	_, err := t.publishRequests(ctx, requests)
	t.keyed, t.topic = t.topic, written
	return t.keyed, err
}

func (t *tidings) consumeHandled(ctx context.Context, c *consumption) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	consumer := client.New(t.conn).Consumer(c.name, client.ConsumerOptions{
		Concurrency: consumerHandlers, Window: consumeWindow, WindowBytes: 256 << 20, IdleTimeout: 10 * time.Second,
		Trace: client.ConsumerTrace{Settled: func(_ *client.Delivery, _ *tidingsv1.Settlement, result *tidingsv1.SettlementResult, _ time.Duration) {
			c.delivered++
			if result.GetStatus() == tidingsv1.SettlementStatus_SETTLEMENT_STATUS_APPLIED {
				c.settled++
			}
			if c.settled == len(t.data.events) {
				cancel()
			}
		}},
	})
	return consumer.Run(ctx, client.HandleAny(func(context.Context, *client.Delivery) error { return nil }))
}
