package client

import (
	"context"
	"io"

	"connectrpc.com/connect"
	"google.golang.org/grpc"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/gen/go/tidings/v1/tidingsv1connect"
)

// calls are the calls that the package makes, whatever the protocol. The streams end
// with io.EOF, or with the error that ended the call.
type calls interface {
	publishStream(ctx context.Context) (duplex[tidingsv1.PublishStreamRequest, tidingsv1.PublishStreamResponse], error)
	read(ctx context.Context, request *tidingsv1.ReadRequest) (receiver[tidingsv1.ReadResponse], error)
	consume(ctx context.Context) (duplex[tidingsv1.ConsumeRequest, tidingsv1.ConsumeResponse], error)
	settle(ctx context.Context, request *tidingsv1.SettleRequest) (*tidingsv1.SettleResponse, error)
	serverInfo(ctx context.Context) (*tidingsv1.GetServerInfoResponse, error)
}

// receiver is the receiving side of a stream, which one goroutine uses. Ending the
// context of the call frees what a stream holds.
type receiver[Response any] interface {
	Recv() (*Response, error)
}

// duplex is a stream with two sides; one goroutine sends and another receives. Send
// gives io.EOF when the call has ended: Recv has the reason.
type duplex[Request, Response any] interface {
	receiver[Response]
	Send(request *Request) error
	CloseSend() error
}

type grpcCalls struct {
	publisher tidingsv1.PublisherServiceClient
	reader    tidingsv1.ReaderServiceClient
	consumer  tidingsv1.ConsumerServiceClient
	server    tidingsv1.ServerServiceClient
	// retryConnect ends the wait of grpc-go's own back-off, which grows to two
	// minutes: streams are opened again after delays of the package.
	retryConnect func()
}

func newGRPC(conn grpc.ClientConnInterface) calls {
	retryConnect := func() {}
	if conn, ok := conn.(interface{ ResetConnectBackoff() }); ok {
		retryConnect = conn.ResetConnectBackoff
	}
	return &grpcCalls{
		retryConnect: retryConnect,

		publisher: tidingsv1.NewPublisherServiceClient(conn),
		reader:    tidingsv1.NewReaderServiceClient(conn),
		consumer:  tidingsv1.NewConsumerServiceClient(conn),
		server:    tidingsv1.NewServerServiceClient(conn),
	}
}

func (c *grpcCalls) settle(ctx context.Context, request *tidingsv1.SettleRequest) (*tidingsv1.SettleResponse, error) {
	return c.consumer.Settle(ctx, request)
}

func (c *grpcCalls) serverInfo(ctx context.Context) (*tidingsv1.GetServerInfoResponse, error) {
	return c.server.GetServerInfo(ctx, &tidingsv1.GetServerInfoRequest{})
}

type connectCalls struct {
	publisher tidingsv1connect.PublisherServiceClient
	reader    tidingsv1connect.ReaderServiceClient
	consumer  tidingsv1connect.ConsumerServiceClient
	server    tidingsv1connect.ServerServiceClient
}

func newConnect(httpClient connect.HTTPClient, baseURL string, options []connect.ClientOption) calls {
	return &connectCalls{
		publisher: tidingsv1connect.NewPublisherServiceClient(httpClient, baseURL, binary{}.always(options)...),
		reader:    tidingsv1connect.NewReaderServiceClient(httpClient, baseURL, binary{}.unless(options)...),
		consumer:  tidingsv1connect.NewConsumerServiceClient(httpClient, baseURL, binary{}.unless(options)...),
		server:    tidingsv1connect.NewServerServiceClient(httpClient, baseURL, options...),
	}
}

func (c *connectCalls) publishStream(ctx context.Context) (duplex[tidingsv1.PublishStreamRequest, tidingsv1.PublishStreamResponse], error) {
	stream, err := c.publisher.PublishStream(ctx)
	if err != nil {
		return nil, err
	}
	return connectDuplex[tidingsv1.PublishStreamRequest, tidingsv1.PublishStreamResponse]{stream}, nil
}

func (c *connectCalls) read(ctx context.Context, request *tidingsv1.ReadRequest) (receiver[tidingsv1.ReadResponse], error) {
	stream, err := c.reader.Read(ctx, request)
	if err != nil {
		return nil, err
	}
	return connectReceiver[tidingsv1.ReadResponse]{stream}, nil
}

func (c *connectCalls) consume(ctx context.Context) (duplex[tidingsv1.ConsumeRequest, tidingsv1.ConsumeResponse], error) {
	stream, err := c.consumer.Consume(ctx)
	if err != nil {
		return nil, err
	}
	return connectDuplex[tidingsv1.ConsumeRequest, tidingsv1.ConsumeResponse]{stream}, nil
}

func (c *connectCalls) settle(ctx context.Context, request *tidingsv1.SettleRequest) (*tidingsv1.SettleResponse, error) {
	return c.consumer.Settle(ctx, request)
}

func (c *connectCalls) serverInfo(ctx context.Context) (*tidingsv1.GetServerInfoResponse, error) {
	return c.server.GetServerInfo(ctx, &tidingsv1.GetServerInfoRequest{})
}

type connectReceiver[Response any] struct {
	stream *connect.ServerStreamForClient[Response]
}

func (r connectReceiver[Response]) Recv() (*Response, error) {
	if r.stream.Receive() {
		// The next Receive fills a message of its own.
		return r.stream.Msg(), nil
	}
	_ = r.stream.Close() // Err says how the call ended.
	if err := r.stream.Err(); err != nil {
		return nil, err
	}
	return nil, io.EOF
}

type connectDuplex[Request, Response any] struct {
	stream *connect.BidiStreamForClientSimple[Request, Response]
}

func (d connectDuplex[Request, Response]) Recv() (*Response, error) {
	response, err := d.stream.Receive()
	if err != nil {
		_ = d.stream.CloseResponse()
	}
	return response, err
}

func (d connectDuplex[Request, Response]) Send(request *Request) error { return d.stream.Send(request) }

func (d connectDuplex[Request, Response]) CloseSend() error { return d.stream.CloseRequest() }
