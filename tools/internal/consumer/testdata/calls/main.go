// The program calls is a consumer of the generated module: it publishes an event
// and reads it back over gRPC and over Connect, and prints what it got.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	ordersv1 "example.com/tidings/examples/events/gen/shop/orders/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/gen/go/tidings/v1/tidingsv1connect"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: calls HTTP-ADDRESS GRPC-ADDRESS")
		os.Exit(2)
	}
	if err := run(context.Background(), os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "calls:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, httpAddress, grpcAddress string) error {
	if err := overGRPC(ctx, grpcAddress); err != nil {
		return fmt.Errorf("grpc: %w", err)
	}
	if err := overConnect(ctx, "connect", httpAddress); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	if err := overConnect(ctx, "grpc-web", httpAddress, connect.WithGRPCWeb()); err != nil {
		return fmt.Errorf("grpc-web: %w", err)
	}
	return nil
}

func overGRPC(ctx context.Context, address string) error {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	request, err := publishRequest("grpc")
	if err != nil {
		return err
	}
	published, err := tidingsv1.NewPublisherServiceClient(conn).Publish(ctx, request)
	if err != nil {
		return err
	}
	stream, err := tidingsv1.NewReaderServiceClient(conn).Read(ctx, readRequest(published))
	if err != nil {
		return err
	}
	var got []*tidingsv1.RecordedEvent
	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		got = append(got, response.GetEvents().GetEvents()...)
	}
	return compare("grpc", request, published, got)
}

func overConnect(ctx context.Context, name, address string, options ...connect.ClientOption) error {
	request, err := publishRequest(name)
	if err != nil {
		return err
	}
	published, err := tidingsv1connect.NewPublisherServiceClient(http.DefaultClient, "http://"+address, options...).Publish(ctx, request)
	if err != nil {
		return err
	}
	stream, err := tidingsv1connect.NewReaderServiceClient(http.DefaultClient, "http://"+address, options...).Read(ctx, readRequest(published))
	if err != nil {
		return err
	}
	defer stream.Close()
	var got []*tidingsv1.RecordedEvent
	for stream.Receive() {
		got = append(got, stream.Msg().GetEvents().GetEvents()...)
	}
	if err := stream.Err(); err != nil {
		return err
	}
	return compare(name, request, published, got)
}

func publishRequest(id string) (*tidingsv1.PublishRequest, error) {
	data, err := anypb.New(&ordersv1.OrderPaid{
		OrderId:   "order-of-" + id,
		PaymentId: "payment-of-" + id,
		Amount:    &ordersv1.Money{CurrencyCode: "EUR", MinorUnits: 1250},
		PaidAt:    timestamppb.Now(),
	})
	if err != nil {
		return nil, err
	}
	return &tidingsv1.PublishRequest{Events: []*tidingsv1.Event{{Id: id, Source: "/consumer", Data: data}}}, nil
}

// readRequest asks for what was published and for no more.
func readRequest(published *tidingsv1.PublishResponse) *tidingsv1.ReadRequest {
	sequence := published.GetReceipts()[0].GetSequence()
	return &tidingsv1.ReadRequest{
		Topic: published.GetTopic(),
		Start: &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Sequence{Sequence: sequence}},
		Stop:  &tidingsv1.StopPosition{Position: &tidingsv1.StopPosition_Sequence{Sequence: sequence}},
	}
}

// compare wants back the one event of the request, with its key filled.
func compare(name string, request *tidingsv1.PublishRequest, published *tidingsv1.PublishResponse, got []*tidingsv1.RecordedEvent) error {
	if len(got) != 1 {
		return fmt.Errorf("read %d events, want 1", len(got))
	}
	want := proto.CloneOf(request.GetEvents()[0])
	want.PartitionKey = new("order-of-" + name)
	if !proto.Equal(got[0].GetEvent(), want) {
		return fmt.Errorf("read %v, want %v", got[0].GetEvent(), want)
	}
	_, err := fmt.Printf("%s: %s %d\n", name, got[0].GetTopic(), published.GetReceipts()[0].GetSequence())
	return err
}
