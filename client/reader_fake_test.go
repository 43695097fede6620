package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/gen/go/tidings/v1/tidingsv1connect"
)

// readScript is what a test's server does in a call of Read.
type readScript func(ctx context.Context, send func(*tidingsv1.ReadResponse) error) error

// readServer runs one script after the other, a call each.
type readServer struct {
	mu       sync.Mutex
	scripts  []readScript
	requests []*tidingsv1.ReadRequest
}

func (s *readServer) next(request *tidingsv1.ReadRequest) readScript {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, request)
	if len(s.scripts) == 0 {
		return sending(fmt.Errorf("call %d is one too many", len(s.requests)))
	}
	script := s.scripts[0]
	s.scripts = s.scripts[1:]
	return script
}

// asked returns the requests so far.
func (s *readServer) asked() []*tidingsv1.ReadRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// sending is a call that sends frames and ends with err.
func sending(err error, frames ...*tidingsv1.ReadResponse) readScript {
	return func(_ context.Context, send func(*tidingsv1.ReadResponse) error) error {
		for _, frame := range frames {
			if err := send(frame); err != nil {
				return err
			}
		}
		return err
	}
}

// waiting is a call that sends frames and then waits for its end. It closes over then.
func waiting(over chan<- struct{}, frames ...*tidingsv1.ReadResponse) readScript {
	return func(ctx context.Context, send func(*tidingsv1.ReadResponse) error) error {
		if err := sending(nil, frames...)(ctx, send); err != nil {
			return err
		}
		<-ctx.Done()
		close(over)
		return ctx.Err()
	}
}

// recorded are events whose content is their sequence.
func recorded(t *testing.T, sequences ...int64) *tidingsv1.ReadResponse {
	t.Helper()
	batch := new(tidingsv1.EventBatch)
	for _, sequence := range sequences {
		data, err := anypb.New(wrapperspb.Int64(sequence))
		if err != nil {
			t.Fatal(err)
		}
		batch.Events = append(batch.Events, &tidingsv1.RecordedEvent{
			Event: &tidingsv1.Event{Data: data}, Sequence: sequence, Cursor: fmt.Sprint("after ", sequence),
		})
	}
	return &tidingsv1.ReadResponse{Frame: &tidingsv1.ReadResponse_Events{Events: batch}}
}

func checkpoint(cursor string) *tidingsv1.ReadResponse {
	return &tidingsv1.ReadResponse{Frame: &tidingsv1.ReadResponse_Checkpoint{Checkpoint: &tidingsv1.Checkpoint{Cursor: cursor}}}
}

func heartbeat(cursor string) *tidingsv1.ReadResponse {
	return &tidingsv1.ReadResponse{Frame: &tidingsv1.ReadResponse_Heartbeat{Heartbeat: &tidingsv1.Heartbeat{Cursor: cursor}}}
}

// overReads runs a test with a client of a server over each protocol, in memory.
func overReads(t *testing.T, test func(t *testing.T, client func(*readServer) *Client)) {
	t.Helper()
	t.Run("gRPC", func(t *testing.T) {
		test(t, func(server *readServer) *Client { return readsOverGRPC(t, server) })
	})
	for name, options := range map[string][]connect.ClientOption{
		"Connect": nil, "Connect in JSON": {connect.WithProtoJSON()}, "gRPC over net/http": {connect.WithGRPC()},
	} {
		t.Run(name, func(t *testing.T) {
			test(t, func(server *readServer) *Client { return readsOverHTTP(t, server, options...) })
		})
	}
}

func readsOverGRPC(t *testing.T, server *readServer) *Client {
	t.Helper()
	listener, s := bufconn.Listen(1<<20), grpc.NewServer()
	tidingsv1.RegisterReaderServiceServer(s, grpcReads{server: server})
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		s.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return New(conn)
}

func readsOverHTTP(t *testing.T, server *readServer, options ...connect.ClientOption) *Client {
	t.Helper()
	listener, mux := bufconn.Listen(1<<20), http.NewServeMux()
	mux.Handle(tidingsv1connect.NewReaderServiceHandler(connectReads{server: server}))
	h2c := new(http.Protocols)
	h2c.SetUnencryptedHTTP2(true)
	s := &http.Server{Handler: mux, Protocols: h2c} //nolint:gosec // Nobody is slow here.
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(listener) }()
	transport := &http.Transport{
		Protocols:   h2c,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return listener.DialContext(ctx) },
	}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = s.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return NewConnect(&http.Client{Transport: transport}, "http://memory", options...)
}

type grpcReads struct {
	tidingsv1.UnimplementedReaderServiceServer

	server *readServer
}

func (g grpcReads) Read(request *tidingsv1.ReadRequest, stream grpc.ServerStreamingServer[tidingsv1.ReadResponse]) error {
	return grpcError(g.server.next(request)(stream.Context(), stream.Send))
}

type connectReads struct {
	tidingsv1connect.UnimplementedReaderServiceHandler

	server *readServer
}

func (c connectReads) Read(ctx context.Context, request *tidingsv1.ReadRequest, stream *connect.ServerStream[tidingsv1.ReadResponse]) error {
	return connectError(c.server.next(request)(ctx, stream.Send))
}

// readCalls are the calls of a server without a protocol, for bubbles of synctest.
type readCalls struct {
	calls

	server *readServer
}

func (c readCalls) read(ctx context.Context, request *tidingsv1.ReadRequest) (receiver[tidingsv1.ReadResponse], error) {
	stream := &readStream{ctx: ctx, frames: make(chan *tidingsv1.ReadResponse), ended: make(chan error, 1)}
	script := c.server.next(request)
	go func() {
		err := script(ctx, func(frame *tidingsv1.ReadResponse) error {
			select {
			case stream.frames <- frame:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		if err == nil {
			err = io.EOF
		}
		stream.ended <- grpcError(err)
	}()
	return stream, nil
}

type readStream struct {
	ctx    context.Context //nolint:containedctx // A stream has the context of its call.
	frames chan *tidingsv1.ReadResponse
	ended  chan error
}

func (s *readStream) Recv() (*tidingsv1.ReadResponse, error) {
	select {
	case frame := <-s.frames:
		return frame, nil
	case err := <-s.ended:
		return nil, err
	}
}
