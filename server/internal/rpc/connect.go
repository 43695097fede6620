package rpc

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"
	"connectrpc.com/grpcreflect"
	"google.golang.org/grpc/health"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"example.com/tidings/gen/go/tidings/v1/tidingsv1connect"
	"example.com/tidings/gen/go/tidings/v1beta1/tidingsv1beta1connect"
	"example.com/tidings/server/internal/schema"
	"example.com/tidings/server/internal/service"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// Config is what the servers of both transports need. Every field but Metrics is
// required.
type Config struct {
	Service         *service.Service
	Health          *health.Server
	MaxRequestBytes int
	// Metrics serves /metrics over HTTP. nil: there is no such path.
	Metrics http.Handler
	Log     *slog.Logger
}

// serviceNames are the services of the contract.
var serviceNames = []string{
	tidingsv1connect.TopicServiceName,
	tidingsv1connect.PublisherServiceName,
	tidingsv1connect.ReaderServiceName,
	tidingsv1connect.SubscriptionServiceName,
	tidingsv1connect.ConsumerServiceName,
	tidingsv1connect.DeadLetterServiceName,
	tidingsv1connect.SchemaServiceName,
	tidingsv1beta1connect.SchemaServiceName,
	tidingsv1connect.ServerServiceName,
}

// ours says whether a procedure is one of the contract's.
func ours(procedure string) bool { return strings.HasPrefix(procedure, "/tidings.") }

// NewHTTPServer returns a server of NewHTTPHandler's handler over HTTP/1.1 and,
// without TLS, HTTP/2.
func NewHTTPServer(cfg Config) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:   NewHTTPHandler(cfg),
		Protocols: protocols,
		// No write timeout: streams stay open.
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
	}
}

// NewHTTPHandler returns a handler that serves the contract, health and
// reflection over Connect, gRPC-Web and gRPC, and /healthz, /readyz and
// /metrics.
func NewHTTPHandler(cfg Config) http.Handler {
	g := &gate{log: cfg.Log}
	shared := codec{g, cfg.MaxRequestBytes, cfg.Service.Types}
	options := connect.WithHandlerOptions(
		connect.WithCodec(&binaryCodec{shared}),
		connect.WithCodec(&jsonCodec{shared, "json"}),
		connect.WithCodec(&jsonCodec{shared, "json; charset=utf-8"}),
		connect.WithReadMaxBytes(hardLimit(cfg.MaxRequestBytes)),
		connect.WithCompressMinBytes(1024),
		connect.WithInterceptors(connectGate{g}),
	)
	mux := http.NewServeMux()
	mux.Handle(tidingsv1connect.NewTopicServiceHandler(cfg.Service, options))
	mux.Handle(tidingsv1connect.NewPublisherServiceHandler(connectPublisher{cfg.Service}, options))
	mux.Handle(tidingsv1connect.NewReaderServiceHandler(connectReader{cfg.Service}, options))
	mux.Handle(tidingsv1connect.NewSubscriptionServiceHandler(cfg.Service, options))
	mux.Handle(tidingsv1connect.NewConsumerServiceHandler(connectConsumer{cfg.Service}, options))
	mux.Handle(tidingsv1connect.NewDeadLetterServiceHandler(cfg.Service, options))
	mux.Handle(tidingsv1connect.NewSchemaServiceHandler(cfg.Service, options))
	mux.Handle(tidingsv1beta1connect.NewSchemaServiceHandler(cfg.Service, options))
	mux.Handle(tidingsv1connect.NewServerServiceHandler(cfg.Service, options))
	handleHealth(mux, cfg)
	if cfg.Metrics != nil {
		mux.Handle("GET /metrics", cfg.Metrics)
	}
	reflector := grpcreflect.NewReflector(
		grpcreflect.NamerFunc(func() []string { return append([]string{healthService}, serviceNames...) }),
		grpcreflect.WithDescriptorResolver(descriptors{cfg.Service.Types}))
	mux.Handle(grpcreflect.NewHandlerV1(reflector))
	mux.Handle(grpcreflect.NewHandlerV1Alpha(reflector))
	return limitBody(mux, cfg.MaxRequestBytes)
}

// limitBody answers a call whose one message is announced to be too large, in
// the protocol of the call, before anything is read. Connect's own limit holds
// for the rest, without a reason from the catalogue.
func limitBody(next http.Handler, maxRequestBytes int) http.Handler {
	errors := connect.NewErrorWriter()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > int64(hardLimit(maxRequestBytes)) && oneMessage(r.URL.Path) && errors.IsSupported(r) {
			_ = errors.Write(w, r, connectError(service.TooLarge(int(r.ContentLength), maxRequestBytes)))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// oneMessage says whether a procedure is one of the contract's whose request is
// one message.
func oneMessage(procedure string) bool {
	if !ours(procedure) {
		return false
	}
	name := protoreflect.FullName(strings.ReplaceAll(procedure[1:], "/", "."))
	descriptor, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
	method, ok := descriptor.(protoreflect.MethodDescriptor)
	return err == nil && ok && !method.IsStreamingClient()
}

// connectGate is the gate as connect-go's interceptor.
type connectGate struct{ *gate }

func (g connectGate) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (response connect.AnyResponse, err error) {
		defer func() {
			if err != nil {
				err = connectError(g.settle(ctx, err))
			}
		}()
		defer service.Recovered(&err)
		if err := g.admit(request.Any()); err != nil {
			return nil, err
		}
		return next(ctx, request)
	}
}

func (g connectGate) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) (err error) {
		defer func() {
			if err != nil {
				err = connectError(g.settle(ctx, err))
			}
		}()
		defer service.Recovered(&err)
		return next(ctx, &gatedConn{conn, g.gate})
	}
}

func (g connectGate) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// gatedConn admits what is received.
type gatedConn struct {
	connect.StreamingHandlerConn
	gate *gate
}

func (c *gatedConn) Receive(message any) error {
	if err := c.StreamingHandlerConn.Receive(message); err != nil {
		return transportFault(err)
	}
	return c.gate.admit(message)
}

type connectPublisher struct{ *service.Service }

func (p connectPublisher) PublishStream(ctx context.Context, stream *connect.BidiStream[tidingsv1.PublishStreamRequest, tidingsv1.PublishStreamResponse]) error {
	return p.Service.PublishStream(ctx, struct {
		*receiver
		sender[*tidingsv1.PublishStreamResponse]
	}{
		&receiver{conn: stream.Conn().Receive, raw: rawRequest{decoded: new(tidingsv1.PublishStreamRequest)}},
		stream.Send,
	})
}

func (p connectPublisher) Import(ctx context.Context, stream *connect.ClientStream[tidingsv1.ImportRequest]) (*tidingsv1.ImportResponse, error) {
	return p.Service.Import(ctx, &receiver{conn: stream.Conn().Receive, raw: rawRequest{decoded: new(tidingsv1.ImportRequest)}})
}

type connectReader struct{ *service.Service }

func (r connectReader) Read(ctx context.Context, request *tidingsv1.ReadRequest, stream *connect.ServerStream[tidingsv1.ReadResponse]) error {
	return r.Service.Read(ctx, request, sender[*service.Frame](func(frame *service.Frame) error {
		defer frame.Free() // Send has copied it.
		return stream.Conn().Send(frame)
	}))
}

type connectConsumer struct{ *service.Service }

func (c connectConsumer) Consume(ctx context.Context, stream *connect.BidiStream[tidingsv1.ConsumeRequest, tidingsv1.ConsumeResponse]) error {
	return c.Service.Consume(ctx, struct {
		requests[*tidingsv1.ConsumeRequest]
		sender[*service.Frame]
	}{
		stream.Receive,
		func(frame *service.Frame) error {
			defer frame.Free() // Send has copied it.
			return stream.Conn().Send(frame)
		},
	})
}

func (c connectConsumer) Receive(ctx context.Context, request *tidingsv1.ReceiveRequest, stream *connect.ServerStream[tidingsv1.ReceiveResponse]) error {
	return c.Service.Receive(ctx, request, sender[*service.Frame](func(frame *service.Frame) error {
		defer frame.Free()
		return stream.Conn().Send(frame)
	}))
}

// descriptors finds the descriptors of the contract and of the payloads, so
// that a client that asks by reflection can read and write both.
type descriptors struct{ types func() *schema.Set }

func (d descriptors) FindFileByPath(path string) (protoreflect.FileDescriptor, error) {
	if file, err := protoregistry.GlobalFiles.FindFileByPath(path); err == nil {
		return file, nil
	}
	return d.types().Files().FindFileByPath(path)
}

func (d descriptors) FindDescriptorByName(name protoreflect.FullName) (protoreflect.Descriptor, error) {
	if descriptor, err := protoregistry.GlobalFiles.FindDescriptorByName(name); err == nil {
		return descriptor, nil
	}
	return d.types().Files().FindDescriptorByName(name)
}
