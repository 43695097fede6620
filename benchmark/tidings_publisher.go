package main

import (
	"context"
	"fmt"
	"time"

	"example.com/tidings/client"
)

// publishClient publishes the events one by one with client.Publisher, which makes the
// batches.
func (t *tidings) publishClient(ctx context.Context) (elapsed time.Duration, err error) {
	if t.topic, err = t.newTopic(ctx, t.topic); err != nil {
		return 0, err
	}
	results := make([]*client.Result, 0, len(t.data.events))
	begun := time.Now()
	publisher := client.New(t.conn).Publisher(client.PublisherOptions{Topic: t.topic, MaxBatchEvents: t.data.batch})
	for _, event := range t.data.events {
		results = append(results, publisher.PublishAsync(ctx, event))
	}
	if err := publisher.Close(ctx); err != nil {
		return 0, err
	}
	elapsed = time.Since(begun)
	stored := 0
	for _, result := range results {
		receipts, err := result.Get(ctx)
		if err != nil {
			return 0, err
		}
		stored += len(receipts)
	}
	return elapsed, t.expectStored(nil, stored)
}

// sharedPublisher is publisher whose calls share the batches of one client.Publisher.
func (t *tidings) sharedPublisher(ctx context.Context) (call func(number int) error, end func() error, err error) {
	topic, err := t.newTopic(ctx, "")
	if err != nil {
		return nil, nil, err
	}
	publisher := client.New(t.conn).Publisher(client.PublisherOptions{Topic: topic})
	call = func(number int) error {
		receipts, err := publisher.Publish(ctx, t.data.events[number])
		if err == nil && (len(receipts) != 1 || receipts[0].Duplicate) {
			err = fmt.Errorf("event %d was not stored: %v", number, receipts)
		}
		return err
	}
	return call, func() error {
		if err := publisher.Close(ctx); err != nil {
			return err
		}
		return t.deleteTopic(ctx, topic)
	}, nil
}
