package publicschemas

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/gen/go/tidings/v1/tidingsv1connect"
)

// A client publishes and reads one way.
type client interface {
	publish(ctx context.Context, request *tidingsv1.PublishRequest) (*tidingsv1.PublishResponse, error)
	// read passes on the frames until the topic is read.
	read(ctx context.Context, request *tidingsv1.ReadRequest, each func(*tidingsv1.ReadResponse)) error
}

// binaryClient is gRPC.
type binaryClient struct{ conn *grpc.ClientConn }

func newBinaryClient(t *testing.T, addr string) binaryClient {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return binaryClient{conn}
}

func (c binaryClient) publish(ctx context.Context, request *tidingsv1.PublishRequest) (*tidingsv1.PublishResponse, error) {
	return tidingsv1.NewPublisherServiceClient(c.conn).Publish(ctx, request)
}

func (c binaryClient) read(ctx context.Context, request *tidingsv1.ReadRequest, each func(*tidingsv1.ReadResponse)) error {
	stream, err := tidingsv1.NewReaderServiceClient(c.conn).Read(ctx, request)
	for err == nil {
		var frame *tidingsv1.ReadResponse
		if frame, err = stream.Recv(); err == nil {
			each(frame)
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// jsonClient is the Connect protocol with JSON.
type jsonClient struct {
	publisher tidingsv1connect.PublisherServiceClient
	reader    tidingsv1connect.ReaderServiceClient
}

func newJSONClient(t *testing.T, addr string, types *dynamicpb.Types) jsonClient {
	t.Helper()
	transport := new(http.Transport)
	t.Cleanup(transport.CloseIdleConnections)
	httpClient := &http.Client{Transport: transport}
	codec := connect.WithCodec(jsonCodec{types})
	return jsonClient{
		tidingsv1connect.NewPublisherServiceClient(httpClient, "http://"+addr, codec),
		tidingsv1connect.NewReaderServiceClient(httpClient, "http://"+addr, codec),
	}
}

func (c jsonClient) publish(ctx context.Context, request *tidingsv1.PublishRequest) (*tidingsv1.PublishResponse, error) {
	return c.publisher.Publish(ctx, request)
}

func (c jsonClient) read(ctx context.Context, request *tidingsv1.ReadRequest, each func(*tidingsv1.ReadResponse)) error {
	stream, err := c.reader.Read(ctx, request)
	if err != nil {
		return err
	}
	for stream.Receive() {
		each(stream.Msg())
	}
	return errors.Join(stream.Err(), stream.Close())
}

// jsonCodec is JSON with the content of events in the types of a source.
type jsonCodec struct{ types *dynamicpb.Types }

func (jsonCodec) Name() string { return "json" }

func (c jsonCodec) Marshal(message any) ([]byte, error) {
	return protojson.MarshalOptions{Resolver: c.types}.Marshal(message.(proto.Message))
}

func (c jsonCodec) Unmarshal(data []byte, message any) error {
	return protojson.UnmarshalOptions{Resolver: c.types}.Unmarshal(data, message.(proto.Message))
}
