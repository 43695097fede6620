package main

import (
	"context"
	"errors"
	"net/http"

	"connectrpc.com/connect"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/gen/go/tidings/v1/tidingsv1connect"
)

// connectServer is the server over connect-go.
type connectServer struct {
	tidingsv1connect.TopicServiceClient
	tidingsv1connect.PublisherServiceClient
	tidingsv1connect.SubscriptionServiceClient

	reader   tidingsv1connect.ReaderServiceClient
	consumer tidingsv1connect.ConsumerServiceClient

	url     string
	options []connect.ClientOption
	// bidirectional says that Consume can be called. gRPC-Web has no
	// bidirectional streams.
	bidirectional bool
}

func newConnectServer(transport, url string) connectServer {
	client, options := http.DefaultClient, []connect.ClientOption{connect.WithHTTPGet()}
	switch transport {
	case "connect-json":
		options = append(options, connect.WithProtoJSON())
	case "grpc-web":
		options = []connect.ClientOption{connect.WithGRPCWeb()}
	}
	if transport != "grpc-web" {
		// Bidirectional streams take HTTP/2, which without TLS is by agreement.
		var protocols http.Protocols
		protocols.SetUnencryptedHTTP2(true)
		client = &http.Client{Transport: &http.Transport{Protocols: &protocols}}
	}
	return connectServer{
		TopicServiceClient:        tidingsv1connect.NewTopicServiceClient(client, url, options...),
		PublisherServiceClient:    tidingsv1connect.NewPublisherServiceClient(client, url, options...),
		SubscriptionServiceClient: tidingsv1connect.NewSubscriptionServiceClient(client, url, options...),
		reader:                    tidingsv1connect.NewReaderServiceClient(client, url, options...),
		consumer:                  tidingsv1connect.NewConsumerServiceClient(client, url, options...),
		url:                       url,
		options:                   options,
		bidirectional:             transport != "grpc-web",
	}
}

func (s connectServer) read(ctx context.Context, request *tidingsv1.ReadRequest, take func(*tidingsv1.ReadResponse) bool) error {
	// Ends the call where take has had enough.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.reader.Read(ctx, request)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	for stream.Receive() {
		if !take(stream.Msg()) {
			return nil
		}
	}
	return stream.Err()
}

func (s connectServer) consume(ctx context.Context, subscription string, count int, decide func(*tidingsv1.Delivery) *tidingsv1.Settlement) ([]*tidingsv1.SettlementResult, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if !s.bidirectional {
		return s.receive(ctx, subscription, count, decide)
	}
	stream, err := s.consumer.Consume(ctx)
	if err != nil {
		return nil, err
	}
	results, err := settleStream(subscription, count, decide, stream.Send, stream.Receive)
	if err != nil {
		return nil, err
	}
	return results, stream.CloseRequest()
}

// receive does with two calls what Consume does with one.
func (s connectServer) receive(ctx context.Context, subscription string, count int, decide func(*tidingsv1.Delivery) *tidingsv1.Settlement) ([]*tidingsv1.SettlementResult, error) {
	stream, err := s.consumer.Receive(ctx, &tidingsv1.ReceiveRequest{Subscription: subscription})
	if err != nil {
		return nil, err
	}
	defer func() { _ = stream.Close() }()
	var results []*tidingsv1.SettlementResult
	for len(results) < count && stream.Receive() {
		deliveries := stream.Msg().GetDeliveries().GetDeliveries()
		if len(deliveries) == 0 {
			continue
		}
		response, err := s.consumer.Settle(ctx, &tidingsv1.SettleRequest{Subscription: subscription, Settlements: settleAll(deliveries, decide)})
		if err != nil {
			return nil, err
		}
		results = append(results, response.GetResults()...)
	}
	return results, stream.Err()
}

func (s connectServer) publishOne(ctx context.Context, topic, id string, value proto.Message) error {
	data, err := anypb.New(value)
	if err != nil {
		return err
	}
	_, err = tidingsv1connect.NewPublisherServiceClient(http.DefaultClient, s.url, s.options...).Publish(ctx, &tidingsv1.PublishRequest{
		Topic:  topic,
		Events: []*tidingsv1.Event{{Id: id, Source: source, Data: data}},
	})
	return err
}

func (connectServer) refusal(err error) (code codes.Code, details []any) {
	if refused, ok := errors.AsType[*connect.Error](err); ok {
		for _, detail := range refused.Details() {
			if value, err := detail.Value(); err == nil {
				details = append(details, value)
			}
		}
	}
	// The codes are those of gRPC.
	return codes.Code(connect.CodeOf(err)), details
}
