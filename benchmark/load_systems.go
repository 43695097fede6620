package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"example.com/tidings/client"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// load is a new stream with a durable pull consumer.
func (r *rawNATS) load(ctx context.Context) (*loader, error) {
	stream, err := r.newStream(ctx, "")
	if err != nil {
		return nil, err
	}
	consumer, err := r.js.CreateConsumer(ctx, stream, jetstream.ConsumerConfig{
		Durable: "worker", AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: consumeWindow,
	})
	if err != nil {
		return nil, err
	}
	futures := make([]jetstream.PubAckFuture, len(r.data.encoded))
	return &loader{
		publish: func(number int) (err error) {
			futures[number], err = r.js.PublishAsync(stream, r.data.encoded[number], jetstream.WithStallWait(time.Minute))
			return err
		},
		receipt: func(number int) error {
			select {
			case <-futures[number].Ok():
				return nil
			case err := <-futures[number].Err():
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		},
		consume: func(ctx context.Context, events int, came func(number int)) error {
			messages, err := consumer.Messages(jetstream.PullMaxMessages(pullMessages))
			if err != nil {
				return err
			}
			defer messages.Stop()
			for range events {
				message, err := messages.Next(jetstream.NextContext(ctx))
				if err != nil {
					return err
				}
				place, err := message.Metadata()
				if err != nil {
					return err
				}
				came(int(place.Sequence.Stream) - 1)
				if err := message.Ack(); err != nil {
					return err
				}
			}
			return nil
		},
		close: func() error { return r.js.DeleteStream(ctx, stream) },
	}, nil
}

// load is a new topic with a subscription.
func (t *tidings) load(ctx context.Context) (*loader, error) {
	topic, err := t.newTopic(ctx, "")
	if err != nil {
		return nil, err
	}
	t.topic, topic = topic, t.topic // newSubscription is to the topic that was written last.
	c, err := t.newSubscription(ctx)
	t.topic, topic = topic, t.topic
	if err != nil {
		return nil, err
	}
	c.patient = true
	publisher := client.New(t.conn).Publisher(client.PublisherOptions{Topic: topic})
	results := make([]*client.Result, len(t.data.events))
	return &loader{
		publish: func(number int) error {
			results[number] = publisher.PublishAsync(ctx, t.data.events[number])
			return nil
		},
		receipt: func(number int) error {
			receipts, err := results[number].Get(ctx)
			if err == nil && (len(receipts) != 1 || receipts[0].Duplicate) {
				err = fmt.Errorf("event %d was not stored: %v", number, receipts)
			}
			return err
		},
		consume: func(ctx context.Context, events int, came func(number int)) error {
			return t.consumeStream(ctx, c, events, func(d *tidingsv1.Delivery) error {
				number, err := strconv.Atoi(d.GetRecorded().GetEvent().GetId())
				came(number)
				return err
			})
		},
		close: func() error {
			closed := publisher.Close(ctx)
			_, unsubscribed := tidingsv1.NewSubscriptionServiceClient(t.conn).DeleteSubscription(ctx, &tidingsv1.DeleteSubscriptionRequest{Name: c.name})
			return errors.Join(closed, unsubscribed, t.deleteTopic(ctx, topic))
		},
	}, nil
}
