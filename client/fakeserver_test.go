package client

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/gen/go/tidings/v1/tidingsv1connect"
)

// fakeConn is what a test's server listens on: its connections can be broken, and new
// ones refused.
type fakeConn struct {
	net.Listener

	mu    sync.Mutex
	conns map[net.Conn]bool
}

func listen(t *testing.T) *fakeConn {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return &fakeConn{Listener: listener, conns: make(map[net.Conn]bool)}
}

func (f *fakeConn) Accept() (net.Conn, error) {
	conn, err := f.Listener.Accept()
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.conns[conn] = true
	return conn, nil
}

// breakAll ends the connections as the end of a process does.
func (f *fakeConn) breakAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for conn := range f.conns {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = conn.Close()
		delete(f.conns, conn)
	}
}

// protocols are the ways to a server, by their names.
var protocols = map[string]func(t *testing.T, publisher publishServer) (*Client, *fakeConn){
	"gRPC": func(t *testing.T, publisher publishServer) (*Client, *fakeConn) {
		t.Helper()
		listener := listen(t)
		server := grpc.NewServer()
		tidingsv1.RegisterPublisherServiceServer(server, grpcPublisher{fake: publisher})
		tidingsv1.RegisterServerServiceServer(server, grpcServer{fake: publisher})
		ended := make(chan error, 1)
		go func() { ended <- server.Serve(listener) }()
		t.Cleanup(func() {
			server.Stop()
			if err := <-ended; err != nil && !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		})
		return dialGRPC(t, listener.Addr().String()), listener
	},
	"Connect": func(t *testing.T, publisher publishServer) (*Client, *fakeConn) {
		t.Helper()
		return overHTTP(t, publisher)
	},
	"Connect in JSON": func(t *testing.T, publisher publishServer) (*Client, *fakeConn) {
		t.Helper()
		return overHTTP(t, publisher, connect.WithProtoJSON())
	},
	"gRPC over net/http": func(t *testing.T, publisher publishServer) (*Client, *fakeConn) {
		t.Helper()
		return overHTTP(t, publisher, connect.WithGRPC())
	},
}

func dialGRPC(t *testing.T, addr string) *Client {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return New(conn)
}

func overHTTP(t *testing.T, publisher publishServer, options ...connect.ClientOption) (*Client, *fakeConn) {
	t.Helper()
	listener := listen(t)
	mux := http.NewServeMux()
	mux.Handle(tidingsv1connect.NewPublisherServiceHandler(connectPublisher{fake: publisher}))
	mux.Handle(tidingsv1connect.NewServerServiceHandler(connectServer{fake: publisher}))
	h2c := new(http.Protocols)
	h2c.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: mux, Protocols: h2c} //nolint:gosec // Its client is the test.
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	transport := &http.Transport{Protocols: h2c}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = server.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	return NewConnect(&http.Client{Transport: transport}, "http://"+listener.Addr().String()+"/", options...), listener
}

// publishServer is what a test's server does, whatever the protocol.
type publishServer interface {
	info(ctx context.Context) (*tidingsv1.GetServerInfoResponse, error)
	publishStream(ctx context.Context, receive func() (*tidingsv1.PublishStreamRequest, error), send func(*tidingsv1.PublishStreamResponse) error) error
}

type grpcPublisher struct {
	tidingsv1.UnimplementedPublisherServiceServer

	fake publishServer
}

func (g grpcPublisher) PublishStream(stream grpc.BidiStreamingServer[tidingsv1.PublishStreamRequest, tidingsv1.PublishStreamResponse]) error {
	return grpcError(g.fake.publishStream(stream.Context(), stream.Recv, stream.Send))
}

type grpcServer struct {
	tidingsv1.UnimplementedServerServiceServer

	fake publishServer
}

func (g grpcServer) GetServerInfo(ctx context.Context, _ *tidingsv1.GetServerInfoRequest) (*tidingsv1.GetServerInfoResponse, error) {
	info, err := g.fake.info(ctx)
	return info, grpcError(err)
}

type connectPublisher struct {
	tidingsv1connect.UnimplementedPublisherServiceHandler

	fake publishServer
}

func (c connectPublisher) PublishStream(ctx context.Context, stream *connect.BidiStream[tidingsv1.PublishStreamRequest, tidingsv1.PublishStreamResponse]) error {
	return connectError(c.fake.publishStream(ctx, stream.Receive, stream.Send))
}

type connectServer struct {
	tidingsv1connect.UnimplementedServerServiceHandler

	fake publishServer
}

func (c connectServer) GetServerInfo(ctx context.Context, _ *tidingsv1.GetServerInfoRequest) (*tidingsv1.GetServerInfoResponse, error) {
	info, err := c.fake.info(ctx)
	return info, connectError(err)
}
