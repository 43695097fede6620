package main

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// consumeSingle delivers and acknowledges what publishSingle wrote: a durable
// consumer, pulled, with an acknowledgement for each message.
func (r *rawNATS) consumeSingle(ctx context.Context) (time.Duration, error) {
	const name = "worker"
	begun := time.Now()
	consumer, err := r.js.CreateConsumer(ctx, r.single, jetstream.ConsumerConfig{
		Durable: name, AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: consumeWindow,
	})
	if err != nil {
		return 0, err
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(pullMessages))
	if err != nil {
		return 0, err
	}
	defer messages.Stop()
	for range r.data.encoded {
		message, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return 0, err
		}
		if err := message.Ack(); err != nil {
			return 0, err
		}
	}
	// The server has taken all acknowledgements when none is missing.
	for {
		info, err := consumer.Info(ctx)
		if err != nil {
			return 0, err
		}
		if info.NumAckPending == 0 && info.AckFloor.Stream == uint64(len(r.data.encoded)) {
			break
		}
	}
	elapsed := time.Since(begun)
	if err := r.js.DeleteConsumer(ctx, r.single, name); err != nil {
		return 0, fmt.Errorf("delete the consumer: %w", err)
	}
	return elapsed, nil
}
