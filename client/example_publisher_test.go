package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"example.com/tidings/client"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// A call gets its receipts, or says why its events are refused.
func ExamplePublisher_Publish() {
	c, closing := ordersTopic()
	defer closing()
	ctx := context.Background()

	publisher := c.Publisher(client.PublisherOptions{Topic: "orders"})
	for _, order := range []string{"1001", "", "1002"} {
		event, err := client.NewEvent("/checkout", wrapperspb.String(order))
		if err != nil {
			fmt.Println(err)
			return
		}
		receipts, err := publisher.Publish(ctx, event)
		switch {
		case client.Reason(err) == "EVENT_INVALID":
			for _, violation := range client.Violations(err) {
				fmt.Println(violation.Field, violation.Description)
			}
		case err != nil:
			fmt.Println(err)
		default:
			fmt.Println("stored in", receipts[0].Topic, "as", receipts[0].Sequence)
		}
	}
	fmt.Println(publisher.Close(ctx))
	// Output:
	// stored in orders as 1
	// events[0].data.value must be set
	// stored in orders as 2
	// <nil>
}

// A loader publishes without waiting for each receipt: the Publisher makes it wait when
// enough is in flight.
func ExamplePublisher_PublishAsync() {
	c, closing := ordersTopic()
	defer closing()
	ctx := context.Background()

	publisher := c.Publisher(client.PublisherOptions{Topic: "orders", MaxInFlightBytes: 64 << 10})
	var results []*client.Result
	for number := range 10_000 {
		event, err := client.NewEvent("/loader", wrapperspb.String(fmt.Sprint(number)))
		if err != nil {
			fmt.Println(err)
			return
		}
		event.Id = fmt.Sprintf("order-%d", number)
		results = append(results, publisher.PublishAsync(ctx, event))
	}
	if err := publisher.Close(ctx); err != nil {
		fmt.Println(err)
	}
	stored := 0
	for _, result := range results {
		if _, err := result.Get(ctx); err == nil {
			stored++
		}
	}
	fmt.Println(stored, "events are stored")
	// Output:
	// 10000 events are stored
}

// ordersTopic is a server with a topic in memory, in which events must not be empty.
func ordersTopic() (c *client.Client, closing func()) {
	listener := bufconn.Listen(1 << 16)
	server := grpc.NewServer()
	tidingsv1.RegisterPublisherServiceServer(server, &orders{})
	tidingsv1.RegisterServerServiceServer(server, tidingsv1.UnimplementedServerServiceServer{})
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	conn, err := grpc.NewClient("passthrough:///orders", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		panic(err)
	}
	return client.New(conn), func() {
		_ = conn.Close()
		server.Stop()
		serving.Wait()
	}
}

type orders struct {
	tidingsv1.UnimplementedPublisherServiceServer

	mu   sync.Mutex
	last int64
}

func (o *orders) PublishStream(stream grpc.BidiStreamingServer[tidingsv1.PublishStreamRequest, tidingsv1.PublishStreamResponse]) error {
	for batch := int64(0); ; batch++ {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(&tidingsv1.PublishStreamResponse{
			Batch: batch, Result: &tidingsv1.PublishStreamResponse_Published{Published: o.store(request.GetPublish())},
		}); err != nil {
			return err
		}
	}
}

func (o *orders) store(request *tidingsv1.PublishRequest) *tidingsv1.PublishResponse {
	o.mu.Lock()
	defer o.mu.Unlock()
	response := &tidingsv1.PublishResponse{Topic: request.GetTopic()}
	for i, event := range request.GetEvents() {
		index := int64(i)
		order := new(wrapperspb.StringValue)
		if err := event.GetData().UnmarshalTo(order); err == nil && strings.TrimSpace(order.GetValue()) != "" {
			o.last++
			response.Receipts = append(response.Receipts, &tidingsv1.Receipt{Index: index, Sequence: o.last})
			continue
		}
		field := fmt.Sprintf("events[%d].data.value", i)
		response.RefusedEvents = append(response.RefusedEvents, &tidingsv1.RefusedEvent{Index: index, Id: event.GetId(), Error: &tidingsv1.ErrorDetail{
			Reason: tidingsv1.ErrorReason_ERROR_REASON_EVENT_INVALID, Message: field + ": must be set",
			FieldViolations: []*tidingsv1.FieldViolation{{Field: field, Description: "must be set"}},
		}})
	}
	return response
}
