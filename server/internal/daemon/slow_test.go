package daemon_test

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/tidings/server/internal/daemon"

	ordersv1 "example.com/tidings/examples/events/gen/shop/orders/v1"
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
		response, err := publisher.Publish(ctx, &tidingsv1.PublishRequest{Events: largeBatch(clients, batch).GetPublish().GetEvents()})
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
	request := &tidingsv1.PublishStreamRequest{Publish: new(tidingsv1.PublishRequest)}
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
		request.Publish.Events = append(request.Publish.Events, &tidingsv1.Event{
			Id: fmt.Sprint(batch, "-", i), Source: fmt.Sprint("/client/", client), Data: data,
		})
	}
	return request
}

// A server that is told to stop does so at once, though a client watches its
// health, reads a topic and has a publish stream and an import open.
func TestOpenStreamsDoNotDelayShutdown(t *testing.T) {
	t.Parallel()
	cfg := daemon.DefaultConfig()
	cfg.DataDir, cfg.ShutdownTimeout = t.TempDir(), time.Hour // Longer than a test may take.
	server := start(t, cfg)
	conn := server.dial(t)
	ctx := t.Context()

	watch, err := grpc_health_v1.NewHealthClient(conn).Watch(ctx, new(grpc_health_v1.HealthCheckRequest))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	read, err := tidingsv1.NewReaderServiceClient(conn).Read(ctx, &tidingsv1.ReadRequest{Topic: "github-webhooks"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := read.Recv(); err != nil { // Caught up: the call is under way.
		t.Fatal(err)
	}
	publish, err := tidingsv1.NewPublisherServiceClient(conn).PublishStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := publish.Send(largeBatch(0, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := publish.Recv(); err != nil {
		t.Fatal(err)
	}
	imports, err := tidingsv1.NewPublisherServiceClient(conn).Import(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := imports.Send(&tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Events: largeBatch(1, 0).GetPublish().GetEvents()}}); err != nil {
		t.Fatal(err)
	}
	if code := server.end(syscall.SIGTERM); code != 0 || strings.Contains(server.Output(), "cut off") {
		t.Errorf("exit code %d: %s", code, server.Output())
	}
	for _, end := range []struct {
		name string
		recv func() error
	}{
		{"read", func() error { _, err := read.Recv(); return err }},
		{"publish stream", func() error { _, err := publish.Recv(); return err }},
		{"import", func() error { return imports.RecvMsg(new(tidingsv1.ImportResponse)) }},
	} {
		var err error
		for err == nil { // Read has a draining frame to tell first.
			err = end.recv()
		}
		if status.Code(err) != codes.Unavailable {
			t.Errorf("%s ended with %v, want Unavailable", end.name, err)
		}
	}
}
