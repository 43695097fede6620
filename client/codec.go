package client

import (
	"context"
	"fmt"
	"slices"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	protocodec "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// unmarshal decodes what a server sent. The data may be used again afterwards.
func unmarshal(data []byte, message proto.Message) error {
	switch into := message.(type) {
	case *tidingsv1.ReadResponse:
		if decodeRead(data, into) {
			return nil
		}
	case *tidingsv1.ConsumeResponse:
		if decodeConsume(data, into) {
			return nil
		}
	case *tidingsv1.PublishStreamResponse:
		if decodePublished(data, into) {
			return nil
		}
	}
	return proto.Unmarshal(data, message)
}

// frameCodec is grpc-go's codec of protobuf for one call, on which one goroutine
// receives.
type frameCodec struct {
	encoding.CodecV2

	whole []byte // The last frame that came in parts.
}

// Unmarshal decodes a frame.
func (c *frameCodec) Unmarshal(data mem.BufferSlice, message any) error {
	into, ok := message.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is no message", message)
	}
	if len(data) == 1 {
		return unmarshal(data[0].ReadOnlyData(), into)
	}
	c.whole = slices.Grow(c.whole[:0], data.Len())[:data.Len()]
	data.CopyTo(c.whole)
	return unmarshal(c.whole, into)
}

// Marshal encodes a request.
func (c *frameCodec) Marshal(message any) (mem.BufferSlice, error) {
	if request, ok := message.(*tidingsv1.ConsumeRequest); ok {
		if batch, size, ok := acksSize(request); ok {
			pool := mem.DefaultBufferPool()
			data := pool.Get(size)
			*data = appendAcks((*data)[:0], request, batch)
			return mem.BufferSlice{mem.NewBuffer(data, pool)}, nil
		}
	}
	return c.CodecV2.Marshal(message)
}

// framed are the options of a gRPC call whose frames are decoded here.
func framed() []grpc.CallOption {
	return []grpc.CallOption{
		grpc.ForceCodecV2(&frameCodec{CodecV2: encoding.GetCodecV2(protocodec.Name)}), grpc.CallContentSubtype(protocodec.Name),
	}
}

func (c *grpcCalls) publishStream(ctx context.Context) (duplex[tidingsv1.PublishStreamRequest, tidingsv1.PublishStreamResponse], error) {
	c.retryConnect()
	return c.publisher.PublishStream(ctx, framed()...)
}

func (c *grpcCalls) read(ctx context.Context, request *tidingsv1.ReadRequest) (receiver[tidingsv1.ReadResponse], error) {
	c.retryConnect()
	return c.reader.Read(ctx, request, framed()...)
}

func (c *grpcCalls) consume(ctx context.Context) (duplex[tidingsv1.ConsumeRequest, tidingsv1.ConsumeResponse], error) {
	c.retryConnect()
	return c.consumer.Consume(ctx, framed()...)
}

// binary is connect-go's codec of protobuf. connect-go has no option to ask for its own
// again where others ask for JSON: the Publisher sends events that are encoded already.
type binary struct{}

func (binary) Name() string { return protocodec.Name }

func (binary) Marshal(message any) ([]byte, error) { return binary{}.MarshalAppend(nil, message) }

func (binary) MarshalAppend(data []byte, message any) ([]byte, error) {
	encoded, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no message", message)
	}
	if request, ok := message.(*tidingsv1.ConsumeRequest); ok {
		if batch, _, ok := acksSize(request); ok {
			return appendAcks(data, request, batch), nil
		}
	}
	return proto.MarshalOptions{}.MarshalAppend(data, encoded)
}

func (binary) Unmarshal(data []byte, message any) error {
	decoded, ok := message.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is no message", message)
	}
	return unmarshal(data, decoded)
}

// always and unless add the codec to the options of a client, whatever they ask for, and
// unless they ask for another.
func (b binary) always(options []connect.ClientOption) []connect.ClientOption {
	return append(slices.Clip(options), connect.WithCodec(b))
}

func (b binary) unless(options []connect.ClientOption) []connect.ClientOption {
	return append([]connect.ClientOption{connect.WithCodec(b)}, options...)
}
