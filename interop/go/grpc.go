package main

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// grpcServer is the server over grpc-go.
type grpcServer struct {
	address       string
	topics        tidingsv1.TopicServiceClient
	publisher     tidingsv1.PublisherServiceClient
	reader        tidingsv1.ReaderServiceClient
	subscriptions tidingsv1.SubscriptionServiceClient
	consumer      tidingsv1.ConsumerServiceClient
}

func dialGRPC(address string) (s server, closeServer func(), err error) {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, nil, err
	}
	return grpcServer{
		address:       address,
		topics:        tidingsv1.NewTopicServiceClient(conn),
		publisher:     tidingsv1.NewPublisherServiceClient(conn),
		reader:        tidingsv1.NewReaderServiceClient(conn),
		subscriptions: tidingsv1.NewSubscriptionServiceClient(conn),
		consumer:      tidingsv1.NewConsumerServiceClient(conn),
	}, func() { _ = conn.Close() }, nil
}

func (s grpcServer) CreateTopic(ctx context.Context, request *tidingsv1.CreateTopicRequest) (*tidingsv1.CreateTopicResponse, error) {
	return s.topics.CreateTopic(ctx, request)
}

func (s grpcServer) GetTopic(ctx context.Context, request *tidingsv1.GetTopicRequest) (*tidingsv1.GetTopicResponse, error) {
	return s.topics.GetTopic(ctx, request)
}

func (s grpcServer) Publish(ctx context.Context, request *tidingsv1.PublishRequest) (*tidingsv1.PublishResponse, error) {
	return s.publisher.Publish(ctx, request)
}

func (s grpcServer) CreateSubscription(ctx context.Context, request *tidingsv1.CreateSubscriptionRequest) (*tidingsv1.CreateSubscriptionResponse, error) {
	return s.subscriptions.CreateSubscription(ctx, request)
}

func (s grpcServer) read(ctx context.Context, request *tidingsv1.ReadRequest, take func(*tidingsv1.ReadResponse) bool) error {
	// Ends the call where take has had enough.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.reader.Read(ctx, request)
	if err != nil {
		return err
	}
	for {
		frame, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if !take(frame) {
			return nil
		}
	}
}

func (s grpcServer) consume(ctx context.Context, subscription string, count int, decide func(*tidingsv1.Delivery) *tidingsv1.Settlement) ([]*tidingsv1.SettlementResult, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.consumer.Consume(ctx)
	if err != nil {
		return nil, err
	}
	results, err := settleStream(subscription, count, decide, stream.Send, stream.Recv)
	if err != nil {
		return nil, err
	}
	return results, stream.CloseSend()
}

// publishOne does all that a publisher in Go has to do.
func (s grpcServer) publishOne(ctx context.Context, topic, id string, value proto.Message) error {
	// docs:begin
	conn, err := grpc.NewClient(s.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	data, err := anypb.New(value)
	if err != nil {
		return err
	}
	_, err = tidingsv1.NewPublisherServiceClient(conn).Publish(ctx, &tidingsv1.PublishRequest{
		Topic:  topic,
		Events: []*tidingsv1.Event{{Id: id, Source: "/interop", Data: data}},
	})
	// docs:end
	return err
}

func (grpcServer) refusal(err error) (code codes.Code, details []any) {
	refused := status.Convert(err)
	return refused.Code(), refused.Details()
}
