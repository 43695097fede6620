package rpc

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"example.com/tidings/server/internal/guard"
	"example.com/tidings/server/internal/service"
	"example.com/tidings/server/internal/tracing"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	tidingsv1beta1 "example.com/tidings/gen/go/tidings/v1beta1"
)

// NewGRPCServer returns a grpc-go server of the contract, health and
// reflection.
func NewGRPCServer(cfg Config) *grpc.Server {
	g := &grpcGate{gate: &gate{cfg.Log, cfg.AuditLog, cfg.Tracer, cfg.Service.Release}}
	g.codec = &grpcCodec{codec{g.gate, cfg.MaxRequestBytes, cfg.Service.Types}}
	options := []grpc.ServerOption{
		grpc.ForceServerCodecV2(g.codec),
		// Above MaxRequestBytes the codec answers with a reason; far above it
		// nothing is read.
		grpc.MaxRecvMsgSize(hardLimit(cfg.MaxRequestBytes)),
		grpc.NumStreamWorkers(streamWorkers),
		grpc.ChainUnaryInterceptor(g.unary),
		grpc.ChainStreamInterceptor(g.stream),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: idleTimeout, Time: pingAfter, Timeout: pingTimeout}),
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.StaticStreamWindowSize(streamWindow),
		grpc.StaticConnWindowSize(connectionWindow),
		grpc.MaxConcurrentStreams(uint32(cfg.MaxConnectionCalls)),
		grpc.MaxHeaderListSize(uint32(cfg.MaxHeaderBytes)),
		grpc.InTapHandle(tapAccess(cfg, clock(cfg))),
	}
	if cfg.Metrics != nil {
		options = append(options, grpc.StatsHandler(recorder{cfg.Metrics}))
	}
	if cfg.TLS != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(cfg.TLS)))
	}
	server := grpc.NewServer(options...)
	tidingsv1.RegisterTopicServiceServer(server, grpcTopics{Service: cfg.Service})
	server.RegisterService(grpcPublisherService(), grpcPublisher{Service: cfg.Service})
	tidingsv1.RegisterReaderServiceServer(server, grpcReader{Service: cfg.Service})
	tidingsv1.RegisterSubscriptionServiceServer(server, grpcSubscriptions{Service: cfg.Service})
	tidingsv1.RegisterConsumerServiceServer(server, grpcConsumer{Service: cfg.Service})
	tidingsv1.RegisterDeadLetterServiceServer(server, grpcDeadLetters{Service: cfg.Service})
	tidingsv1.RegisterSchemaServiceServer(server, grpcSchemas{Service: cfg.Service})
	tidingsv1beta1.RegisterSchemaServiceServer(server, grpcRegistration{Service: cfg.Service})
	tidingsv1.RegisterServerServiceServer(server, grpcInfo{Service: cfg.Service})
	grpc_health_v1.RegisterHealthServer(server, grpcHealth{cfg.Health, cfg.Service})
	registerReflection(server, cfg)
	return server
}

// streamWorkers is the number of goroutines that wait for calls. Checking a
// payload takes a deep stack, and a goroutine of its own for each call spends
// much of its time on growing one. Further calls get one all the same.
const streamWorkers = 128

// streamWindow and connectionWindow are how many bytes a client may send in a call
// and on a connection before the server has read them. Unless they are given, grpc-go
// finds out how large they should be, by pings while messages come in, and lets them
// grow to 16 MiB.
const (
	streamWindow     = 4 << 20
	connectionWindow = 16 << 20
)

// hardLimit is the size above which a transport doesn't read a message.
func hardLimit(maxRequestBytes int) int { return 2 * maxRequestBytes }

// NewHealth returns the health of every service, serving.
func NewHealth() *health.Server {
	h := health.NewServer()
	for _, name := range serviceNames {
		h.SetServingStatus(name, grpc_health_v1.HealthCheckResponse_SERVING)
	}
	return h
}

// grpcGate is the gate as grpc-go's interceptors.
type grpcGate struct {
	*gate

	codec *grpcCodec
}

func (g *grpcGate) unary(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (response any, err error) {
	ctx, span := g.callGRPC(ctx, info.FullMethod)
	defer func() { err = g.unaryResult(ctx, info.FullMethod, request, span, err) }()
	defer guard.Recover(&err)
	stopClock(ctx)
	if err := g.admit(ctx, request); err != nil {
		return nil, err
	}
	if response, err = handler(ctx, request); err != nil {
		return nil, err
	}
	delivered(ctx, response)
	return g.encode(ctx, request, response, g.codec.encode)
}

func (g *grpcGate) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	entered, begun := g.enterGRPC(stream.Context(), info.FullMethod), time.Now()
	ctx, end, err := streamContext(entered)
	if err != nil {
		return g.streamResult(entered, info.FullMethod, begun, err)
	}
	defer end()
	defer func() { err = g.streamResult(ctx, info.FullMethod, begun, err) }()
	defer guard.Recover(&err)
	return handler(srv, &gatedStream{stream, ctx, g.gate, messageMeter{}})
}

// unaryResult is grpcResult of a call with one request, which it records, and whose span
// it ends.
func (g *grpcGate) unaryResult(ctx context.Context, method string, request any, span trace.Span, err error) error {
	if !ours(method) {
		return g.grpcResult(ctx, method, err)
	}
	caller := ""
	if from, ok := peer.FromContext(ctx); ok && g.auditLog != nil {
		caller = from.Addr.String()
	}
	if err == nil {
		g.audit(ctx, method, caller, request, nil)
		tracing.EndCall(span, tracing.Fault{})
		return nil
	}
	known := g.asError(ctx, err)
	g.audit(ctx, method, caller, request, known)
	tracing.EndCall(span, service.TraceFault(known))
	return grpcError(known)
}

// grpcResult makes the error of a call one of the catalogue. Health and reflection have errors of
// their own, which are status errors already.
func (g *grpcGate) grpcResult(ctx context.Context, method string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok && !ours(method) {
		return err
	}
	return grpcError(g.asError(ctx, err))
}

// streamResult is grpcResult of a stream that began at a time.
func (g *grpcGate) streamResult(ctx context.Context, method string, begun time.Time, err error) error {
	if err == nil || !ours(method) {
		return g.grpcResult(ctx, method, err)
	}
	known := g.asError(ctx, err)
	g.tracer.Failed(ctx, begun, service.TraceFault(known))
	return grpcError(known)
}

// gatedStream admits what is received, and says what its faults amount to.
type gatedStream struct {
	grpc.ServerStream

	ctx  context.Context //nolint:containedctx // grpc-go asks the stream for it.
	gate *gate

	messages messageMeter
}

func (s *gatedStream) Context() context.Context { return s.ctx }

func (s *gatedStream) RecvMsg(message any) error {
	err := s.ServerStream.RecvMsg(message)
	stopClock(s.Context())
	if err != nil {
		return receiveFault(err)
	}
	if err := s.messages.await(s.ctx); err != nil {
		return err
	}
	return s.gate.admit(s.ctx, message)
}

func (s *gatedStream) SendMsg(message any) error {
	return sendFault(s.ServerStream.SendMsg(message))
}

// The methods of the service are those of the generated interfaces, streams
// aside. The generated Unimplemented types lie one level deeper, so that the
// service's methods come first.
type (
	grpcTopics struct {
		*service.Service
		unimplementedTopics
	}
	unimplementedTopics struct {
		tidingsv1.UnimplementedTopicServiceServer
	}
	grpcPublisher struct {
		*service.Service
		unimplementedPublisher
	}
	unimplementedPublisher struct {
		tidingsv1.UnimplementedPublisherServiceServer
	}
	grpcReader struct {
		*service.Service
		unimplementedReader
	}
	unimplementedReader struct {
		tidingsv1.UnimplementedReaderServiceServer
	}
	grpcSubscriptions struct {
		*service.Service
		unimplementedSubscriptions
	}
	unimplementedSubscriptions struct {
		tidingsv1.UnimplementedSubscriptionServiceServer
	}
	grpcConsumer struct {
		*service.Service
		unimplementedConsumer
	}
	unimplementedConsumer struct {
		tidingsv1.UnimplementedConsumerServiceServer
	}
	grpcDeadLetters struct {
		*service.Service
		unimplementedDeadLetters
	}
	unimplementedDeadLetters struct {
		tidingsv1.UnimplementedDeadLetterServiceServer
	}
	grpcSchemas struct {
		*service.Service
		unimplementedSchemas
	}
	unimplementedSchemas struct {
		tidingsv1.UnimplementedSchemaServiceServer
	}
	grpcRegistration struct {
		*service.Service
		unimplementedRegistration
	}
	unimplementedRegistration struct {
		tidingsv1beta1.UnimplementedSchemaServiceServer
	}
	grpcInfo struct {
		*service.Service
		unimplementedInfo
	}
	unimplementedInfo struct {
		tidingsv1.UnimplementedServerServiceServer
	}
)

func (p grpcPublisher) PublishStream(stream grpc.BidiStreamingServer[tidingsv1.PublishStreamRequest, tidingsv1.PublishStreamResponse]) error {
	return p.Service.PublishStream(stream.Context(), struct {
		*receiver
		sender[*tidingsv1.PublishStreamResponse]
	}{
		&receiver{conn: stream.RecvMsg, raw: rawRequest{decoded: new(tidingsv1.PublishStreamRequest)}},
		stream.Send,
	})
}

func (p grpcPublisher) Import(stream grpc.ClientStreamingServer[tidingsv1.ImportRequest, tidingsv1.ImportResponse]) error {
	response, err := p.Service.Import(stream.Context(), &receiver{conn: stream.RecvMsg, raw: rawRequest{decoded: new(tidingsv1.ImportRequest)}})
	if err != nil {
		return err
	}
	return stream.SendAndClose(response)
}

func (r grpcReader) Read(request *tidingsv1.ReadRequest, stream grpc.ServerStreamingServer[tidingsv1.ReadResponse]) error {
	return r.Service.Read(stream.Context(), request, sender[*service.Frame](func(frame *service.Frame) error {
		return stream.SendMsg(frame) // The codec frees it.
	}))
}

func (c grpcConsumer) Consume(stream grpc.BidiStreamingServer[tidingsv1.ConsumeRequest, tidingsv1.ConsumeResponse]) error {
	return c.Service.Consume(stream.Context(), struct {
		requests[*tidingsv1.ConsumeRequest]
		sender[*service.Frame]
	}{
		stream.Recv,
		func(frame *service.Frame) error { return stream.SendMsg(frame) }, // The codec frees it.
	})
}

func (c grpcConsumer) Receive(request *tidingsv1.ReceiveRequest, stream grpc.ServerStreamingServer[tidingsv1.ReceiveResponse]) error {
	return c.Service.Receive(stream.Context(), request, sender[*service.Frame](func(frame *service.Frame) error {
		return stream.SendMsg(frame)
	}))
}

// requests makes an interface with one method of a function.
type requests[T any] func() (T, error)

func (r requests[T]) Receive() (T, error) { return r() }

// sender makes an interface with one method of a function.
type sender[T any] func(T) error

func (s sender[T]) Send(message T) error { return s(message) }
