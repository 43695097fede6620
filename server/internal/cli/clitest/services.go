package clitest

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/gen/go/tidings/v1/tidingsv1connect"
)

// services are the services of a server.
type services struct {
	tidingsv1connect.UnimplementedPublisherServiceHandler
	tidingsv1connect.UnimplementedReaderServiceHandler
	tidingsv1connect.UnimplementedSchemaServiceHandler
	tidingsv1connect.UnimplementedServerServiceHandler
	tidingsv1connect.UnimplementedSubscriptionServiceHandler
	tidingsv1connect.UnimplementedConsumerServiceHandler
	tidingsv1connect.UnimplementedDeadLetterServiceHandler

	*Server
}

// reply notes a request and returns the next answer.
func reply[R proto.Message](f *Server, request proto.Message) (R, error) {
	f.Asked = append(f.Asked, request)
	response, ok := f.Answers[0].(R)
	if !ok {
		return response, connect.NewError(connect.CodeUnimplemented, fmt.Errorf("no answer to %T", request))
	}
	if len(f.Answers) > 1 {
		f.Answers = f.Answers[1:]
	}
	return response, nil
}

func (services) GetServerInfo(context.Context, *tidingsv1.GetServerInfoRequest) (*tidingsv1.GetServerInfoResponse, error) {
	return &tidingsv1.GetServerInfoResponse{Limits: &tidingsv1.Limits{MaxRequestBytes: 1 << 20}}, nil
}

func (f services) GetEventType(_ context.Context, request *tidingsv1.GetEventTypeRequest) (*tidingsv1.GetEventTypeResponse, error) {
	if len(f.TypeErrors) > 0 {
		err := f.TypeErrors[0]
		f.TypeErrors = f.TypeErrors[1:]
		if f.TypeAsked != nil {
			f.TypeAsked()
		}
		return nil, err
	}
	if request.GetName() != "test.Plain" {
		return nil, connect.NewWireError(connect.CodeNotFound, errors.New("no such type"))
	}
	return &tidingsv1.GetEventTypeResponse{
		EventType: &tidingsv1.EventType{Name: "test.Plain"},
		FileDescriptorSet: &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{{
			Name:        new("test/plain.proto"),
			Package:     new("test"),
			Syntax:      new("proto3"),
			MessageType: []*descriptorpb.DescriptorProto{{Name: new("Plain")}},
		}}},
	}, nil
}

func (f services) PublishStream(_ context.Context, stream *connect.BidiStream[tidingsv1.PublishStreamRequest, tidingsv1.PublishStreamResponse]) error {
	return f.OnPublishStream(stream)
}

func (f services) Read(_ context.Context, request *tidingsv1.ReadRequest, stream *connect.ServerStream[tidingsv1.ReadResponse]) error {
	return f.OnRead(request, stream)
}

func (f services) Consume(_ context.Context, stream *connect.BidiStream[tidingsv1.ConsumeRequest, tidingsv1.ConsumeResponse]) error {
	return f.OnConsume(stream)
}

func (f services) Settle(_ context.Context, request *tidingsv1.SettleRequest) (*tidingsv1.SettleResponse, error) {
	return f.OnSettle(request)
}

func (f services) CreateSubscription(_ context.Context, r *tidingsv1.CreateSubscriptionRequest) (*tidingsv1.CreateSubscriptionResponse, error) {
	return reply[*tidingsv1.CreateSubscriptionResponse](f.Server, r)
}

func (f services) GetSubscription(_ context.Context, r *tidingsv1.GetSubscriptionRequest) (*tidingsv1.GetSubscriptionResponse, error) {
	return reply[*tidingsv1.GetSubscriptionResponse](f.Server, r)
}

func (f services) ListSubscriptions(_ context.Context, r *tidingsv1.ListSubscriptionsRequest) (*tidingsv1.ListSubscriptionsResponse, error) {
	return reply[*tidingsv1.ListSubscriptionsResponse](f.Server, r)
}

func (f services) UpdateSubscription(_ context.Context, r *tidingsv1.UpdateSubscriptionRequest) (*tidingsv1.UpdateSubscriptionResponse, error) {
	return reply[*tidingsv1.UpdateSubscriptionResponse](f.Server, r)
}

func (f services) DeleteSubscription(_ context.Context, r *tidingsv1.DeleteSubscriptionRequest) (*tidingsv1.DeleteSubscriptionResponse, error) {
	return reply[*tidingsv1.DeleteSubscriptionResponse](f.Server, r)
}

func (f services) SeekSubscription(_ context.Context, r *tidingsv1.SeekSubscriptionRequest) (*tidingsv1.SeekSubscriptionResponse, error) {
	return reply[*tidingsv1.SeekSubscriptionResponse](f.Server, r)
}

func (f services) ListDeadLetters(_ context.Context, r *tidingsv1.ListDeadLettersRequest) (*tidingsv1.ListDeadLettersResponse, error) {
	return reply[*tidingsv1.ListDeadLettersResponse](f.Server, r)
}

func (f services) RedriveDeadLetters(_ context.Context, r *tidingsv1.RedriveDeadLettersRequest) (*tidingsv1.RedriveDeadLettersResponse, error) {
	return reply[*tidingsv1.RedriveDeadLettersResponse](f.Server, r)
}

func (f services) PurgeDeadLetters(_ context.Context, r *tidingsv1.PurgeDeadLettersRequest) (*tidingsv1.PurgeDeadLettersResponse, error) {
	return reply[*tidingsv1.PurgeDeadLettersResponse](f.Server, r)
}
