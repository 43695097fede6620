package daemon_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/tidings/server/internal/daemon"

	ordersv1 "example.com/tidings/gen/go/shop/orders/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// Clients that send and send and never read their responses hold up nobody
// else: together they are sent far more than the server lets be in flight.
func TestClientsThatDoNotReadHoldUpNobody(t *testing.T) {
	t.Parallel()
	cfg := daemon.DefaultConfig()
	cfg.DataDir = t.TempDir()
	server := start(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	const (
		clients = 8
		enough  = 80 // Batches of 200 KiB: more than a stream is allowed to have open.
	)
	jammed := make(chan error, clients)
	for client := range clients {
		stream, err := tidingsv1.NewPublisherServiceClient(server.dial(t)).PublishStream(ctx)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for batch := range enough {
				if err := stream.Send(largeBatch(client, batch)); err != nil {
					jammed <- err
					return
				}
			}
			jammed <- nil
			var err error
			for batch := enough; err == nil; batch++ {
				err = stream.Send(largeBatch(client, batch))
			}
		}()
	}
	for range clients {
		if err := <-jammed; err != nil {
			t.Fatal(err)
		}
	}
	publisher := tidingsv1.NewPublisherServiceClient(server.dial(t))
	for batch := range 20 {
		response, err := publisher.Publish(ctx, &tidingsv1.PublishRequest{Events: largeBatch(clients, batch).GetEvents()})
		if err != nil {
			t.Fatal(err)
		}
		if len(response.GetReceipts()) == 0 {
			t.Error("no receipts")
		}
	}
	cancel()
}

func largeBatch(client, batch int) *tidingsv1.PublishStreamRequest {
	request := new(tidingsv1.PublishStreamRequest)
	for i := range 200 {
		data, err := anypb.New(&ordersv1.OrderCancelled{
			OrderId:     fmt.Sprint(client),
			Reason:      ordersv1.CancellationReason_CANCELLATION_REASON_OUT_OF_STOCK,
			Comment:     strings.Repeat("x", 900),
			CancelledAt: timestamppb.Now(),
		})
		if err != nil {
			panic(err)
		}
		request.Events = append(request.Events, &tidingsv1.Event{
			Id: fmt.Sprint(batch, "-", i), Source: fmt.Sprint("/client/", client), Data: data,
		})
	}
	return request
}
