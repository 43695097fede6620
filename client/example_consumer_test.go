package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"example.com/tidings/client"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// The consumer of a program has two handlers, and ends when there is nothing left to do.
func ExampleConsumer_Run() {
	c, closing := billing(wrapperspb.String("1001"), wrapperspb.Double(12.5), wrapperspb.String("1002"))
	defer closing()

	consumer := c.Consumer("billing", client.ConsumerOptions{IdleTimeout: 20 * time.Millisecond})
	err := consumer.Run(context.Background(),
		client.Handle(func(_ context.Context, order *wrapperspb.StringValue, d *client.Delivery) error {
			fmt.Printf("order %s, attempt %d\n", order.GetValue(), d.GetAttempt())
			return nil
		}),
		client.Handle(func(_ context.Context, amount *wrapperspb.DoubleValue, _ *client.Delivery) error {
			fmt.Printf("%.2f EUR\n", amount.GetValue())
			return nil
		}))
	fmt.Println(err)
	// Output:
	// order 1001, attempt 1
	// 12.50 EUR
	// order 1002, attempt 1
	// <nil>
}

// What a handler returns decides what becomes of its event.
func ExampleDeadLetter() {
	c, closing := billing(wrapperspb.String("paid"), wrapperspb.String("torn"), wrapperspb.String("busy"))
	defer closing()

	consumer := c.Consumer("billing", client.ConsumerOptions{
		IdleTimeout: 20 * time.Millisecond,
		Trace: client.ConsumerTrace{Settled: func(d *client.Delivery, s *tidingsv1.Settlement, _ *tidingsv1.SettlementResult, _ time.Duration) {
			if nack := s.GetNack(); nack != nil {
				fmt.Println(d.GetRecorded().GetSequence(), nack.GetKind(), nack.GetReason())
			}
		}},
	})
	err := consumer.Run(context.Background(), client.Handle(func(_ context.Context, order *wrapperspb.StringValue, _ *client.Delivery) error {
		switch order.GetValue() {
		case "torn":
			return client.DeadLetter(errors.New("the card is torn"))
		case "busy":
			return client.RetryAfter(time.Minute, errors.New("the bank is busy"))
		}
		return nil
	}))
	fmt.Println(err)
	// Output:
	// 2 NACK_KIND_DEAD_LETTER the card is torn
	// 3 NACK_KIND_RETRY the bank is busy
	// <nil>
}

// Events of other types than those with a handler are dropped instead of retried.
func ExampleHandleAny() {
	c, closing := billing(wrapperspb.String("1001"), wrapperspb.Bool(true))
	defer closing()

	err := c.Consumer("billing", client.ConsumerOptions{IdleTimeout: 20 * time.Millisecond}).Run(context.Background(),
		client.Handle(func(_ context.Context, order *wrapperspb.StringValue, _ *client.Delivery) error {
			fmt.Println("order", order.GetValue())
			return nil
		}),
		client.HandleAny(func(_ context.Context, d *client.Delivery) error {
			fmt.Println("dropped", d.GetRecorded().GetEvent().GetData().MessageName())
			return client.Drop(nil)
		}))
	fmt.Println(err)
	// Output:
	// order 1001
	// dropped google.protobuf.BoolValue
	// <nil>
}

// billing returns a client of a server with a subscription of these events.
func billing(events ...proto.Message) (c *client.Client, closing func()) {
	listener, server := bufconn.Listen(1<<20), grpc.NewServer()
	tidingsv1.RegisterConsumerServiceServer(server, subscription{events: events})
	go func() {
		if err := server.Serve(listener); err != nil {
			log.Print(err)
		}
	}()
	conn, err := grpc.NewClient("passthrough:///memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		log.Fatal(err)
	}
	return client.New(conn), func() {
		_ = conn.Close()
		server.Stop()
	}
}

// subscription is a server that delivers events once.
type subscription struct {
	tidingsv1.UnimplementedConsumerServiceServer

	events []proto.Message
}

func (s subscription) Consume(stream grpc.BidiStreamingServer[tidingsv1.ConsumeRequest, tidingsv1.ConsumeResponse]) error {
	if _, err := stream.Recv(); err != nil {
		return err
	}
	if err := stream.Send(&tidingsv1.ConsumeResponse{Frame: &tidingsv1.ConsumeResponse_Opened{Opened: &tidingsv1.ConsumeOpened{AckDeadline: durationpb.New(time.Minute)}}}); err != nil {
		return err
	}
	batch := new(tidingsv1.DeliveryBatch)
	for i, event := range s.events {
		data, err := anypb.New(event)
		if err != nil {
			return err
		}
		batch.Deliveries = append(batch.Deliveries, &tidingsv1.Delivery{
			Recorded:      &tidingsv1.RecordedEvent{Event: &tidingsv1.Event{Data: data}, Sequence: int64(i + 1)},
			DeliveryToken: fmt.Sprint(i),
			Attempt:       1,
		})
	}
	if err := stream.Send(&tidingsv1.ConsumeResponse{Frame: &tidingsv1.ConsumeResponse_Deliveries{Deliveries: batch}}); err != nil {
		return err
	}
	for answered := int64(0); ; answered++ {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		results := &tidingsv1.SettlementResults{Batch: answered}
		for range request.GetSettle().GetSettlements() {
			results.Results = append(results.Results, &tidingsv1.SettlementResult{Status: tidingsv1.SettlementStatus_SETTLEMENT_STATUS_APPLIED})
		}
		if err := stream.Send(&tidingsv1.ConsumeResponse{Frame: &tidingsv1.ConsumeResponse_Settled{Settled: results}}); err != nil {
			return err
		}
	}
}
