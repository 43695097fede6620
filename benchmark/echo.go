package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"example.com/tidings/client"
	"example.com/tidings/internal/testserver"
)

// The methods of the echo service.
const (
	echoStream = "/echo.Echo/Stream"
	echoUnary  = "/echo.Echo/Unary"
)

// serveEcho is a gRPC server that stores nothing and looks at nothing: it
// answers each message with one of a fixed size. What it can do is the most that
// any server can do over gRPC.
func serveEcho(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("echo-server", flag.ContinueOnError)
	streamSize := flags.Int("stream-bytes", 0, "")
	unarySize := flags.Int("unary-bytes", 0, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	echo := &echoServer{stream: rawSend{make([]byte, *streamSize)}, unary: rawSend{make([]byte, *unarySize)}}
	g := grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{}),
		// As the servers have them that are compared with it.
		grpc.StaticStreamWindowSize(4<<20), grpc.StaticConnWindowSize(16<<20),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}))
	g.RegisterService(&grpc.ServiceDesc{
		ServiceName: "echo.Echo",
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Unary", Handler: echo.handleUnary}},
		Streams:     []grpc.StreamDesc{{StreamName: "Stream", Handler: echo.handleStream, ServerStreams: true, ClientStreams: true}},
	}, echo)
	stop := context.AfterFunc(ctx, g.GracefulStop)
	defer stop()
	if err := testserver.Ready(listener.Addr().String()); err != nil {
		return err
	}
	return g.Serve(listener)
}

// echoServer has the answers.
type echoServer struct{ stream, unary rawSend }

func (e *echoServer) handleStream(_ any, stream grpc.ServerStream) error {
	var request rawReceive
	defer request.free()
	for {
		if err := stream.RecvMsg(&request); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := stream.SendMsg(e.stream); err != nil {
			return err
		}
	}
}

//nolint:revive // grpc-go wants the parameters in this order.
func (e *echoServer) handleUnary(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	var request rawReceive
	defer request.free()
	return e.unary, decode(&request)
}

// echoClient calls the echo server.
type echoClient struct {
	data *dataset
	conn *grpc.ClientConn
}

func newEchoClient(addr string, data *dataset) (*echoClient, error) {
	conn, err := dialRaw(addr)
	return &echoClient{data, conn}, err
}

func (e *echoClient) close() error { return e.conn.Close() }

// dial connects as the Go client's users do, without TLS unless the options say
// otherwise.
func dial(addr string, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	return grpc.NewClient(addr, append(append(client.DialOptions(),
		grpc.WithTransportCredentials(insecure.NewCredentials())), options...)...)
}

func dialRaw(addr string, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	return dial(addr, append([]grpc.DialOption{grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{}))}, options...)...)
}

// bidirectional describes a stream to a client without generated code.
var bidirectional = &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}

// stream sends the batches and receives as many answers.
func (e *echoClient) stream(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	begun := time.Now()
	stream, err := e.conn.NewStream(ctx, bidirectional, echoStream)
	if err != nil {
		return 0, err
	}
	answers := 0
	err = exchange(cancel, func() error {
		for _, request := range e.data.encodedRequests {
			if err := stream.SendMsg(rawSend{request}); err != nil {
				return err
			}
		}
		return stream.CloseSend()
	}, func() error {
		var answer rawReceive
		defer answer.free()
		for ; ; answers++ {
			if err := stream.RecvMsg(&answer); err != nil {
				return endOfStream(err)
			}
		}
	})
	if want := len(e.data.encodedRequests); err == nil && answers != want {
		err = fmt.Errorf("the echo server answered %d messages of %d", answers, want)
	}
	return time.Since(begun), err
}

// exchange runs the sides of a stream at once, until both have ended. What the
// receiver says counts first: a sender only learns that the stream has ended.
func exchange(cancel context.CancelFunc, send, receive func() error) error {
	sent := make(chan error, 1)
	go func() { sent <- send() }()
	err := receive()
	if err != nil {
		cancel()
	}
	return errors.Join(err, <-sent)
}

func endOfStream(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// caller returns a call with the event of a number.
func (e *echoClient) caller(ctx context.Context) (call func(number int) error, end func() error, err error) {
	call = func(number int) error {
		var answer rawReceive
		defer answer.free()
		return e.conn.Invoke(ctx, echoUnary, rawSend{e.data.encoded[number]}, &answer)
	}
	return call, func() error { return nil }, nil
}
