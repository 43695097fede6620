package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	amqp10 "github.com/rabbitmq/rabbitmq-stream-go-client/pkg/amqp"
	"github.com/rabbitmq/rabbitmq-stream-go-client/pkg/message"
	"github.com/rabbitmq/rabbitmq-stream-go-client/pkg/stream"
)

// rabbitStreamClient publishes to a stream by its own protocol, in entries of a
// batch.
type rabbitStreamClient struct {
	data    *dataset
	env     *stream.Environment
	streams int
}

func startRabbitStream(ctx context.Context, b *brokers, program string) (brokerClient, error) {
	ports, err := b.rabbit(ctx, program)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(ports.stream)
	if err != nil {
		return nil, err
	}
	env, err := stream.NewEnvironment(stream.NewEnvironmentOptions().SetHost("127.0.0.1").SetPort(port).SetUser("guest").SetPassword("guest"))
	return &rabbitStreamClient{data: b.data, env: env}, err
}

func (r *rabbitStreamClient) close() error { return r.env.Close() }

func (r *rabbitStreamClient) stream() string { return fmt.Sprintf("stream-%d", r.streams) }

func (r *rabbitStreamClient) publish(ctx context.Context) (time.Duration, error) {
	if r.streams > 0 {
		if err := r.env.DeleteStream(r.stream()); err != nil {
			return 0, err
		}
	}
	r.streams++
	if err := r.env.DeclareStream(r.stream(), stream.NewStreamOptions()); err != nil {
		return 0, err
	}
	options := stream.NewProducerOptions().SetSubEntrySize(r.data.batch).SetCompression(stream.Compression{}.None()).
		SetConfirmationTimeOut(time.Minute)
	producer, err := r.env.NewProducer(r.stream(), options)
	if err != nil {
		return 0, err
	}
	all := make(chan error, 1)
	confirmations := producer.NotifyPublishConfirmation()
	go func() { all <- confirmedAll(confirmations, len(r.data.encoded)) }()
	begun := time.Now()
	batch := make([]message.StreamMessage, r.data.batch)
	for i := 0; i < len(r.data.encoded); i += len(batch) {
		for j := range batch {
			batch[j] = amqp10.NewMessage(r.data.encoded[i+j])
		}
		if err := producer.BatchSend(batch); err != nil {
			return 0, err
		}
	}
	select {
	case err = <-all:
	case <-ctx.Done():
		err = ctx.Err()
	}
	elapsed := time.Since(begun)
	return elapsed, errors.Join(err, producer.Close())
}

func confirmedAll(confirmations stream.ChannelPublishConfirm, count int) error {
	confirmed := 0
	for list := range confirmations {
		for _, status := range list {
			if !status.IsConfirmed() {
				return status.GetError()
			}
			confirmed++
		}
		if confirmed == count {
			return nil
		}
	}
	return fmt.Errorf("%d events of %d were confirmed", confirmed, count)
}

// consume isn't measured: with this client and the server of Debian 12, events of a stream
// come at some 300 a second, for a reason that isn't known.
func (*rabbitStreamClient) consume(context.Context) (time.Duration, error) {
	return 0, errors.ErrUnsupported
}
