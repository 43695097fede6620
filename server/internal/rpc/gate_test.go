package rpc

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"

	"example.com/tidings/gen/go/tidings/v1/tidingsv1connect"
	"example.com/tidings/server/internal/schema"
	"example.com/tidings/server/internal/service"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// The text of the panics, which clients must not see.
const secret = "a secret of the server"

// panicking is a server whose handlers panic, unless told not to.
type panicking struct {
	tidingsv1.UnimplementedServerServiceServer
	tidingsv1.UnimplementedReaderServiceServer

	calm bool
}

func (p *panicking) GetServerInfo(context.Context, *tidingsv1.GetServerInfoRequest) (*tidingsv1.GetServerInfoResponse, error) {
	if !p.calm {
		panic(secret)
	}
	return &tidingsv1.GetServerInfoResponse{}, nil
}

func (p *panicking) Read(*tidingsv1.ReadRequest, grpc.ServerStreamingServer[tidingsv1.ReadResponse]) error {
	panic(errors.New(secret))
}

// panickingReader is its Read for connect-go.
type panickingReader struct {
	tidingsv1connect.UnimplementedReaderServiceHandler
}

func (panickingReader) Read(context.Context, *tidingsv1.ReadRequest, *connect.ServerStream[tidingsv1.ReadResponse]) error {
	var nothing *panicking
	nothing.calm = true //nolint:govet // A panic of the runtime.
	return nil
}

func TestPanicBecomesInternal(t *testing.T) {
	for name, serve := range map[string]func(*testing.T, *gate, *panicking) (unary, stream func(context.Context) error){
		"native": func(t *testing.T, g *gate, p *panicking) (unary, stream func(context.Context) error) {
			t.Helper()
			native := &grpcGate{g, &grpcCodec{codec{gate: g, maxRequestBytes: 1 << 20}}}
			server := grpc.NewServer(grpc.ForceServerCodecV2(native.codec), grpc.ChainUnaryInterceptor(native.unary), grpc.ChainStreamInterceptor(native.stream))
			tidingsv1.RegisterServerServiceServer(server, p)
			tidingsv1.RegisterReaderServiceServer(server, p)
			listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			go func() { _ = server.Serve(listener) }()
			t.Cleanup(server.Stop)
			conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			unary = func(ctx context.Context) error {
				_, err := tidingsv1.NewServerServiceClient(conn).GetServerInfo(ctx, &tidingsv1.GetServerInfoRequest{})
				return err
			}
			stream = func(ctx context.Context) error {
				s, err := tidingsv1.NewReaderServiceClient(conn).Read(ctx, &tidingsv1.ReadRequest{Topic: "a"})
				if err == nil {
					_, err = s.Recv()
				}
				return err
			}
			return unary, stream
		},
		"connect": func(t *testing.T, g *gate, p *panicking) (unary, stream func(context.Context) error) {
			t.Helper()
			mux := http.NewServeMux()
			options := connect.WithInterceptors(connectGate{g, nil})
			mux.Handle(tidingsv1connect.NewServerServiceHandler(p, options))
			mux.Handle(tidingsv1connect.NewReaderServiceHandler(panickingReader{}, options))
			server := httptest.NewServer(mux)
			t.Cleanup(server.Close)
			unary = func(ctx context.Context) error {
				_, err := tidingsv1connect.NewServerServiceClient(server.Client(), server.URL).GetServerInfo(ctx, &tidingsv1.GetServerInfoRequest{})
				return err
			}
			stream = func(ctx context.Context) error {
				s, err := tidingsv1connect.NewReaderServiceClient(server.Client(), server.URL).Read(ctx, &tidingsv1.ReadRequest{Topic: "a"})
				if err != nil {
					return err
				}
				s.Receive()
				return s.Err()
			}
			return unary, stream
		},
	} {
		t.Run(name, func(t *testing.T) {
			var log strings.Builder
			p := new(panicking)
			unary, stream := serve(t, &gate{log: slog.New(slog.NewTextHandler(&log, nil))}, p)
			for kind, call := range map[string]func(context.Context) error{"unary": unary, "stream": stream} {
				err := call(t.Context())
				id := errorID(t, err)
				if id == "" || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "goroutine") {
					t.Errorf("%s: %v", kind, err)
				}
				if !strings.Contains(log.String(), id) || !strings.Contains(log.String(), "gate_test.go") {
					t.Errorf("%s: the log tells nothing of %s:\n%s", kind, id, log.String())
				}
			}
			p.calm = true
			if err := unary(t.Context()); err != nil {
				t.Errorf("the server doesn't go on: %v", err)
			}
		})
	}
}

// errorID returns the error id of an INTERNAL error of either transport.
func errorID(t *testing.T, err error) string {
	t.Helper()
	var list []any
	if failure, ok := errors.AsType[*connect.Error](err); ok {
		if failure.Code() != connect.CodeInternal {
			t.Errorf("code %s", failure.Code())
		}
		for _, detail := range failure.Details() {
			value, err := detail.Value()
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, value)
		}
	} else {
		if s := status.Convert(err); s.Code() != codes.Internal {
			t.Errorf("code %s", s.Code())
		}
		list = status.Convert(err).Details()
	}
	for _, detail := range list {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetReason() == "INTERNAL" {
			return info.GetMetadata()["error_id"]
		}
	}
	t.Fatalf("no reason in %v", err)
	return ""
}

// The reason why a message couldn't be decoded is in the message, so that nothing
// of it is left where nobody asks.
func TestRejectedMessage(t *testing.T) {
	g := &gate{log: slog.New(slog.DiscardHandler)}
	c := &codec{gate: g, maxRequestBytes: 20}
	message := &tidingsv1.GetTopicRequest{Name: "orders"}
	if err := rejected(message); err != nil {
		t.Errorf("a message is rejected: %v", err)
	}
	if err := c.decode([]byte("\x0a\xff"), message); err != nil {
		t.Fatal(err)
	}
	err := g.admit(t.Context(), message)
	known, ok := errors.AsType[*service.Error](err)
	if !ok || known.Name() != "REQUEST_MALFORMED" || known.Message == "" || message.GetName() != "" {
		t.Errorf("rejected with %v: %v", err, message)
	}
	if err := c.decode(make([]byte, 21), message); err != nil {
		t.Fatal(err)
	}
	if known, _ = errors.AsType[*service.Error](g.admit(t.Context(), message)); known.Name() != "REQUEST_TOO_LARGE" || known.Metadata["size"] != "21" {
		t.Errorf("rejected with %v", known)
	}
	// Fields that a client makes up are none of it: there is no field 0.
	if err := c.decode(append([]byte("\x0a\x06orders"), 0xfa, 0x3f, 1, 'x'), message); err != nil {
		t.Fatal(err)
	}
	if err := rejected(message); err != nil || len(message.ProtoReflect().GetUnknown()) == 0 {
		t.Errorf("rejected with %v", err)
	}
	for _, forged := range [][]byte{{0x00}, {0x02, 1, 0}} {
		if err := c.decode(forged, message); err != nil {
			t.Fatal(err)
		}
		if known, _ := errors.AsType[*service.Error](rejected(message)); known == nil || known.Name() != "REQUEST_MALFORMED" {
			t.Errorf("%x: %v", forged, known)
		}
	}
}

// What can't be encoded is the server's fault, the client isn't told its text, and
// what a Pull leased goes back.
func TestResponseThatCannotBeEncoded(t *testing.T) {
	var log strings.Builder
	var released []*tidingsv1.Delivery
	g := &gate{
		log: slog.New(slog.NewTextHandler(&log, nil)),
		release: func(_ context.Context, request *tidingsv1.PullRequest, response *tidingsv1.PullResponse) {
			if request.GetSubscription() == "s" {
				released = response.GetDeliveries()
			}
		},
	}
	inJSON := &jsonCodec{codec: codec{gate: g, maxRequestBytes: 1 << 20, types: func() *schema.Set { panic(secret) }}, name: "json"}
	handler := connect.NewUnaryHandlerSimple("/tidings.v1.ConsumerService/Pull",
		func(context.Context, *tidingsv1.PullRequest) (*tidingsv1.PullResponse, error) {
			return &tidingsv1.PullResponse{Deliveries: []*tidingsv1.Delivery{{DeliveryToken: "a"}, {DeliveryToken: "b"}}}, nil
		}, connect.WithCodec(inJSON), connect.WithInterceptors(connectGate{g, inJSON}))
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	for _, option := range []connect.ClientOption{connect.WithProtoJSON(), connect.WithClientOptions(connect.WithProtoJSON(), connect.WithGRPCWeb())} {
		released = nil
		inner, calls := inJSON.types, 0
		inJSON.types = func() *schema.Set {
			calls++
			if calls == 1 {
				return types(t)
			}
			return inner()
		}
		_, err := connect.NewClient[tidingsv1.PullRequest, tidingsv1.PullResponse](server.Client(), server.URL+"/tidings.v1.ConsumerService/Pull", option).
			CallUnary(t.Context(), connect.NewRequest(&tidingsv1.PullRequest{Subscription: "s"}))
		inJSON.types = inner
		if id := errorID(t, err); !strings.Contains(log.String(), id) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v; the log:\n%s", err, log.String())
		}
		if len(released) != 2 {
			t.Errorf("released: %v", released)
		}
	}
}

// types is a set that holds nothing but the contract's options.
func types(t *testing.T) *schema.Set {
	t.Helper()
	set := &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{
		protodesc.ToFileDescriptorProto(descriptorpb.File_google_protobuf_descriptor_proto),
	}}
	image, err := proto.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := schema.Parse(image)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}
