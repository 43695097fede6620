package rpc_test

import (
	"context"
	"errors"
	"io"

	"connectrpc.com/connect"
	"google.golang.org/grpc"

	"example.com/tidings/gen/go/tidings/v1/tidingsv1connect"
	"example.com/tidings/gen/go/tidings/v1beta1/tidingsv1beta1connect"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	tidingsv1beta1 "example.com/tidings/gen/go/tidings/v1beta1"
)

// client is the contract as a test calls it, whatever the transport: it hides
// how the generated clients of grpc-go and of connect-go differ, which is in
// their streams and in call options.
type client interface { //nolint:interfacebloat // It has the methods that the contract has.
	CreateTopic(context.Context, *tidingsv1.CreateTopicRequest) (*tidingsv1.CreateTopicResponse, error)
	GetTopic(context.Context, *tidingsv1.GetTopicRequest) (*tidingsv1.GetTopicResponse, error)
	ListTopics(context.Context, *tidingsv1.ListTopicsRequest) (*tidingsv1.ListTopicsResponse, error)
	UpdateTopic(context.Context, *tidingsv1.UpdateTopicRequest) (*tidingsv1.UpdateTopicResponse, error)
	DeleteTopic(context.Context, *tidingsv1.DeleteTopicRequest) (*tidingsv1.DeleteTopicResponse, error)
	Publish(context.Context, *tidingsv1.PublishRequest) (*tidingsv1.PublishResponse, error)
	GetEvent(context.Context, *tidingsv1.GetEventRequest) (*tidingsv1.GetEventResponse, error)
	ListEventTypes(context.Context, *tidingsv1.ListEventTypesRequest) (*tidingsv1.ListEventTypesResponse, error)
	GetEventType(context.Context, *tidingsv1.GetEventTypeRequest) (*tidingsv1.GetEventTypeResponse, error)
	ListEventTypeRevisions(context.Context, *tidingsv1.ListEventTypeRevisionsRequest) (*tidingsv1.ListEventTypeRevisionsResponse, error)
	ValidateEvents(context.Context, *tidingsv1.ValidateEventsRequest) (*tidingsv1.ValidateEventsResponse, error)
	GetServerInfo(context.Context, *tidingsv1.GetServerInfoRequest) (*tidingsv1.GetServerInfoResponse, error)
	CreateSubscription(context.Context, *tidingsv1.CreateSubscriptionRequest) (*tidingsv1.CreateSubscriptionResponse, error)
	GetSubscription(context.Context, *tidingsv1.GetSubscriptionRequest) (*tidingsv1.GetSubscriptionResponse, error)
	ListSubscriptions(context.Context, *tidingsv1.ListSubscriptionsRequest) (*tidingsv1.ListSubscriptionsResponse, error)
	UpdateSubscription(context.Context, *tidingsv1.UpdateSubscriptionRequest) (*tidingsv1.UpdateSubscriptionResponse, error)
	DeleteSubscription(context.Context, *tidingsv1.DeleteSubscriptionRequest) (*tidingsv1.DeleteSubscriptionResponse, error)
	SeekSubscription(context.Context, *tidingsv1.SeekSubscriptionRequest) (*tidingsv1.SeekSubscriptionResponse, error)
	Pull(context.Context, *tidingsv1.PullRequest) (*tidingsv1.PullResponse, error)
	Settle(context.Context, *tidingsv1.SettleRequest) (*tidingsv1.SettleResponse, error)
	ListDeadLetters(context.Context, *tidingsv1.ListDeadLettersRequest) (*tidingsv1.ListDeadLettersResponse, error)
	RedriveDeadLetters(context.Context, *tidingsv1.RedriveDeadLettersRequest) (*tidingsv1.RedriveDeadLettersResponse, error)
	PurgeDeadLetters(context.Context, *tidingsv1.PurgeDeadLettersRequest) (*tidingsv1.PurgeDeadLettersResponse, error)

	CheckCompatibility(context.Context, *tidingsv1beta1.CheckCompatibilityRequest) (*tidingsv1beta1.CheckCompatibilityResponse, error)
	RegisterSchema(context.Context, *tidingsv1beta1.RegisterSchemaRequest) (*tidingsv1beta1.RegisterSchemaResponse, error)

	consume(context.Context) (consumeStream, error)
	receive(context.Context, *tidingsv1.ReceiveRequest) (receiveStream, error)
	publishStream(context.Context) (publishStream, error)
	importStream(context.Context) (importStream, error)
	read(context.Context, *tidingsv1.ReadRequest) (readStream, error)
}

// publishStream is a PublishStream call. Send and Recv may be called at the
// same time.
type publishStream interface {
	Send(*tidingsv1.PublishStreamRequest) error
	CloseSend() error
	// Recv returns io.EOF when the call has ended without an error.
	Recv() (*tidingsv1.PublishStreamResponse, error)
}

// importStream is an Import call. Where Send fails, the reason is what
// CloseAndRecv returns.
type importStream interface {
	Send(*tidingsv1.ImportRequest) error
	CloseAndRecv() (*tidingsv1.ImportResponse, error)
}

// readStream is a Read call.
type readStream interface {
	// Recv returns io.EOF when the call has ended without an error.
	Recv() (*tidingsv1.ReadResponse, error)
}

// grpcClient is a client made of grpc-go's.
type grpcClient struct {
	subscriptions tidingsv1.SubscriptionServiceClient
	consumer      tidingsv1.ConsumerServiceClient
	letters       tidingsv1.DeadLetterServiceClient
	topics        tidingsv1.TopicServiceClient
	publisher     tidingsv1.PublisherServiceClient
	reader        tidingsv1.ReaderServiceClient
	schemas       tidingsv1.SchemaServiceClient
	registration  tidingsv1beta1.SchemaServiceClient
	info          tidingsv1.ServerServiceClient
}

func newGRPCClient(conn grpc.ClientConnInterface) client {
	return &grpcClient{
		subscriptions: tidingsv1.NewSubscriptionServiceClient(conn),
		consumer:      tidingsv1.NewConsumerServiceClient(conn),
		letters:       tidingsv1.NewDeadLetterServiceClient(conn),
		topics:        tidingsv1.NewTopicServiceClient(conn),
		publisher:     tidingsv1.NewPublisherServiceClient(conn),
		reader:        tidingsv1.NewReaderServiceClient(conn),
		schemas:       tidingsv1.NewSchemaServiceClient(conn),
		registration:  tidingsv1beta1.NewSchemaServiceClient(conn),
		info:          tidingsv1.NewServerServiceClient(conn),
	}
}

func (c *grpcClient) CreateTopic(ctx context.Context, r *tidingsv1.CreateTopicRequest) (*tidingsv1.CreateTopicResponse, error) {
	return c.topics.CreateTopic(ctx, r)
}

func (c *grpcClient) GetTopic(ctx context.Context, r *tidingsv1.GetTopicRequest) (*tidingsv1.GetTopicResponse, error) {
	return c.topics.GetTopic(ctx, r)
}

func (c *grpcClient) ListTopics(ctx context.Context, r *tidingsv1.ListTopicsRequest) (*tidingsv1.ListTopicsResponse, error) {
	return c.topics.ListTopics(ctx, r)
}

func (c *grpcClient) UpdateTopic(ctx context.Context, r *tidingsv1.UpdateTopicRequest) (*tidingsv1.UpdateTopicResponse, error) {
	return c.topics.UpdateTopic(ctx, r)
}

func (c *grpcClient) DeleteTopic(ctx context.Context, r *tidingsv1.DeleteTopicRequest) (*tidingsv1.DeleteTopicResponse, error) {
	return c.topics.DeleteTopic(ctx, r)
}

func (c *grpcClient) Publish(ctx context.Context, r *tidingsv1.PublishRequest) (*tidingsv1.PublishResponse, error) {
	return c.publisher.Publish(ctx, r)
}

func (c *grpcClient) GetEvent(ctx context.Context, r *tidingsv1.GetEventRequest) (*tidingsv1.GetEventResponse, error) {
	return c.reader.GetEvent(ctx, r)
}

func (c *grpcClient) ListEventTypes(ctx context.Context, r *tidingsv1.ListEventTypesRequest) (*tidingsv1.ListEventTypesResponse, error) {
	return c.schemas.ListEventTypes(ctx, r)
}

func (c *grpcClient) GetEventType(ctx context.Context, r *tidingsv1.GetEventTypeRequest) (*tidingsv1.GetEventTypeResponse, error) {
	return c.schemas.GetEventType(ctx, r)
}

func (c *grpcClient) ListEventTypeRevisions(ctx context.Context, r *tidingsv1.ListEventTypeRevisionsRequest) (*tidingsv1.ListEventTypeRevisionsResponse, error) {
	return c.schemas.ListEventTypeRevisions(ctx, r)
}

func (c *grpcClient) ValidateEvents(ctx context.Context, r *tidingsv1.ValidateEventsRequest) (*tidingsv1.ValidateEventsResponse, error) {
	return c.schemas.ValidateEvents(ctx, r)
}

func (c *grpcClient) CheckCompatibility(ctx context.Context, r *tidingsv1beta1.CheckCompatibilityRequest) (*tidingsv1beta1.CheckCompatibilityResponse, error) {
	return c.registration.CheckCompatibility(ctx, r)
}

func (c *grpcClient) RegisterSchema(ctx context.Context, r *tidingsv1beta1.RegisterSchemaRequest) (*tidingsv1beta1.RegisterSchemaResponse, error) {
	return c.registration.RegisterSchema(ctx, r)
}

func (c *grpcClient) GetServerInfo(ctx context.Context, r *tidingsv1.GetServerInfoRequest) (*tidingsv1.GetServerInfoResponse, error) {
	return c.info.GetServerInfo(ctx, r)
}

func (c *grpcClient) publishStream(ctx context.Context) (publishStream, error) {
	return c.publisher.PublishStream(ctx)
}

func (c *grpcClient) importStream(ctx context.Context) (importStream, error) {
	return c.publisher.Import(ctx)
}

func (c *grpcClient) read(ctx context.Context, r *tidingsv1.ReadRequest) (readStream, error) {
	return c.reader.Read(ctx, r)
}

// connectClient is a client made of connect-go's.
type connectClient struct {
	tidingsv1connect.TopicServiceClient
	tidingsv1connect.PublisherServiceClient
	tidingsv1connect.ReaderServiceClient
	tidingsv1connect.SubscriptionServiceClient
	tidingsv1connect.ConsumerServiceClient
	tidingsv1connect.DeadLetterServiceClient
	tidingsv1connect.SchemaServiceClient
	// A field, since it has the name of the other one.
	registration tidingsv1beta1connect.SchemaServiceClient
	tidingsv1connect.ServerServiceClient
}

func (c *connectClient) CheckCompatibility(ctx context.Context, r *tidingsv1beta1.CheckCompatibilityRequest) (*tidingsv1beta1.CheckCompatibilityResponse, error) {
	return c.registration.CheckCompatibility(ctx, r)
}

func (c *connectClient) RegisterSchema(ctx context.Context, r *tidingsv1beta1.RegisterSchemaRequest) (*tidingsv1beta1.RegisterSchemaResponse, error) {
	return c.registration.RegisterSchema(ctx, r)
}

func (c *connectClient) publishStream(ctx context.Context) (publishStream, error) {
	stream, err := c.PublishStream(ctx)
	if err != nil {
		return nil, err
	}
	return connectPublishStream{stream.Send, stream.CloseRequest, stream.Receive}, nil
}

type connectPublishStream struct {
	send      func(*tidingsv1.PublishStreamRequest) error
	closeSend func() error
	recv      func() (*tidingsv1.PublishStreamResponse, error)
}

func (s connectPublishStream) Send(r *tidingsv1.PublishStreamRequest) error { return s.send(r) }
func (s connectPublishStream) CloseSend() error                             { return s.closeSend() }

func (s connectPublishStream) Recv() (*tidingsv1.PublishStreamResponse, error) {
	return endOf(s.recv())
}

func (c *connectClient) importStream(ctx context.Context) (importStream, error) {
	stream, err := c.Import(ctx)
	if err != nil {
		return nil, err
	}
	return connectImportStream{stream.Send, stream.CloseAndReceive}, nil
}

type connectImportStream struct {
	send         func(*tidingsv1.ImportRequest) error
	closeAndRecv func() (*tidingsv1.ImportResponse, error)
}

func (s connectImportStream) Send(r *tidingsv1.ImportRequest) error { return s.send(r) }

func (s connectImportStream) CloseAndRecv() (*tidingsv1.ImportResponse, error) {
	return s.closeAndRecv()
}

func (c *connectClient) read(ctx context.Context, r *tidingsv1.ReadRequest) (readStream, error) {
	stream, err := c.Read(ctx, r)
	if err != nil {
		return nil, err
	}
	return connectReadStream{stream}, nil
}

type connectReadStream struct {
	*connect.ServerStreamForClient[tidingsv1.ReadResponse]
}

func (s connectReadStream) Recv() (*tidingsv1.ReadResponse, error) {
	if s.Receive() {
		return s.Msg(), nil
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	return nil, io.EOF
}

// endOf makes the end of a stream plain: connect-go may wrap io.EOF.
func endOf[T any](message T, err error) (T, error) {
	if errors.Is(err, io.EOF) {
		err = io.EOF
	}
	return message, err
}
