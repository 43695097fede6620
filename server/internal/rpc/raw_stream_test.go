package rpc_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// rawCodec sends bytes as they are and decodes responses.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	return proto.Unmarshal(data.Materialize(), v.(proto.Message))
}

// invokeRaw makes a unary call of native gRPC with a request that no client
// would make.
func invokeRaw(t *testing.T, method string, body []byte) error {
	t.Helper()
	return dialGRPC(t, shared.grpcAddr).Invoke(testContext(t), method, body, new(tidingsv1.PublishResponse), grpc.ForceCodecV2(rawCodec{}))
}

// TestNoRequest ends a call without the request that it has to have. grpc-go has
// an answer of its own to that.
func TestNoRequest(t *testing.T) {
	t.Parallel()
	stream, err := dialGRPC(t, shared.httpAddr).NewStream(testContext(t), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true},
		"/tidings.v1.ReaderService/Read", grpc.ForceCodecV2(rawCodec{}))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, stream.RecvMsg(new(tidingsv1.ReadResponse)), because(codes.InvalidArgument, "REQUEST_MALFORMED"))
}

// TestMalformedBatch runs over both listeners: a message of a stream that can't
// be decoded fails alone.
func TestMalformedBatch(t *testing.T) {
	t.Parallel()
	for name, addr := range map[string]string{"native": shared.grpcAddr, "http": shared.httpAddr} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			topic := newTopic(t, transports()[0].dial(t, shared))
			encode := func(id string) []byte {
				encoded, err := proto.Marshal(&tidingsv1.PublishStreamRequest{Publish: &tidingsv1.PublishRequest{Topic: topic, Events: orders(t, id, 1)}})
				if err != nil {
					t.Fatal(err)
				}
				return encoded
			}
			good := encode("a")
			stream, err := dialGRPC(t, addr).NewStream(testContext(t), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true},
				"/tidings.v1.PublisherService/PublishStream", grpc.ForceCodecV2(rawCodec{}))
			if err != nil {
				t.Fatal(err)
			}
			for i, body := range [][]byte{good, good[:len(good)-5], {}, {0xff}, encode("b")} {
				if err := stream.SendMsg(body); err != nil {
					t.Fatal(i, err)
				}
			}
			if err := stream.CloseSend(); err != nil {
				t.Fatal(err)
			}
			var responses []*tidingsv1.PublishStreamResponse
			for {
				response := new(tidingsv1.PublishStreamResponse)
				err := stream.RecvMsg(response)
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				responses = append(responses, response)
			}
			if len(responses) != 5 {
				t.Fatalf("%d responses", len(responses))
			}
			malformed := because(codes.InvalidArgument, "REQUEST_MALFORMED")
			wantError(t, responses[1].GetError(), malformed)
			wantError(t, responses[2].GetError(), because(codes.InvalidArgument, "REQUEST_INVALID").at("publish"))
			wantError(t, responses[3].GetError(), malformed)
			for batch, sequence := range map[int]int64{0: 1, 4: 2} {
				if got := sequences(responses[batch].GetPublished().GetReceipts()); fmt.Sprint(got) != fmt.Sprint([]int64{sequence}) {
					t.Errorf("batch %d: %v", batch, responses[batch])
				}
			}
			stillServes(t)
		})
	}
}

// TestMalformedReflection sends to the services that aren't the contract's.
func TestMalformedReflection(t *testing.T) {
	t.Parallel()
	stream, err := dialGRPC(t, shared.grpcAddr).NewStream(testContext(t), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true},
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", grpc.ForceCodecV2(rawCodec{}))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.SendMsg([]byte{0xff}); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, stream.RecvMsg(new(tidingsv1.PublishResponse)), because(codes.InvalidArgument, "REQUEST_MALFORMED"))
	stillServes(t)
}
