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

	"example.com/tidings/gen/go/tidings/v1/tidingsv1connect"

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
			server := grpc.NewServer(grpc.ChainUnaryInterceptor(g.unary), grpc.ChainStreamInterceptor(g.stream))
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
			options := connect.WithInterceptors(connectGate{g})
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

// A rejected message is told about once, and nothing is kept of it.
func TestRejections(t *testing.T) {
	var r rejections
	first, second := new(tidingsv1.GetTopicRequest), new(tidingsv1.GetTopicRequest)
	reason := errors.New("why")
	r.put(first, errors.New("before"))
	r.put(first, reason)
	if err := r.take(second); err != nil {
		t.Errorf("another message is rejected: %v", err)
	}
	if err := r.take(first); !errors.Is(err, reason) {
		t.Errorf("rejected with %v", err)
	}
	if err := r.take(first); err != nil || r.count.Load() != 0 || len(r.reasons) != 0 {
		t.Errorf("rejected again with %v", err)
	}
}
