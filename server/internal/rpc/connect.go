package rpc

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/grpc/health"

	"example.com/tidings/gen/go/tidings/v1/tidingsv1connect"
	"example.com/tidings/gen/go/tidings/v1beta1/tidingsv1beta1connect"
	"example.com/tidings/server/internal/guard"
	"example.com/tidings/server/internal/quota"
	"example.com/tidings/server/internal/service"
	"example.com/tidings/server/internal/telemetry"
	"example.com/tidings/server/internal/tracing"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// Config is what the servers of both transports need. Every field but those
// about hosts and origins, Metrics, Access, Quotas, AuditLog, Tracer and TLS is
// required.
type Config struct {
	Service         *service.Service
	Health          *health.Server
	MaxRequestBytes int
	// ReceiveTimeout is how long the one message of a request may take to come.
	ReceiveTimeout time.Duration
	// CheckHost lets the HTTP port be called by localhost, loopback addresses and
	// Hosts alone: by names in lower case, without ports.
	CheckHost bool
	Hosts     []string
	// Origins are those whose pages may call the HTTP port, besides its own.
	Origins []string
	// MaxConnectionCalls is how many calls a connection carries at once over HTTP/2,
	// and MaxHeaderBytes bounds the headers of a call.
	MaxConnectionCalls int
	MaxHeaderBytes     int
	// Metrics count the calls, and are served as /metrics over HTTP. nil: the calls
	// aren't counted, and there is no such path.
	Metrics *telemetry.Metrics
	// Access says who makes a call. nil: nobody is asked.
	Access Access
	// Quotas hold callers to what they may use. nil: they may use what they like.
	Quotas *quota.Accounts
	// AuditLog is told of calls that change something. nil: nobody is.
	AuditLog *slog.Logger
	// Tracer makes the spans of calls. nil: none are made.
	Tracer *tracing.Tracer
	// TLS is that of both servers. nil: they speak without.
	TLS *tls.Config
	Log *slog.Logger
}

// The bounds of a connection, on both ports.
const (
	// handshakeTimeout is how long the first call of a connection, or the
	// headers of a later one over HTTP/1.1, may take to begin.
	handshakeTimeout = 10 * time.Second
	// idleTimeout is how long a connection without a call stays open.
	idleTimeout = 2 * time.Minute
	// A connection that says nothing for pingAfter is asked whether it is still
	// there, and closed if it doesn't answer within pingTimeout.
	pingAfter   = time.Minute
	pingTimeout = 20 * time.Second
)

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

// ours reports whether a procedure is one of the contract's.
func ours(procedure string) bool { return strings.HasPrefix(procedure, "/tidings.") }

// NewHTTPServer returns a server of NewHTTPHandler's handler over HTTP/1.1 and
// HTTP/2. With cfg.TLS it is to be served by ServeTLS.
func NewHTTPServer(cfg Config) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(cfg.TLS != nil)
	protocols.SetUnencryptedHTTP2(cfg.TLS == nil)
	return &http.Server{
		TLSConfig: cfg.TLS,
		Handler:   NewHTTPHandler(cfg),
		Protocols: protocols,
		// No write timeout: streams stay open.
		ReadHeaderTimeout: handshakeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    cfg.MaxHeaderBytes,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: cfg.MaxConnectionCalls,
			SendPingTimeout:      pingAfter,
			PingTimeout:          pingTimeout,
		},
		ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
	}
}

// NewHTTPHandler returns a handler that serves the contract, health and
// reflection over Connect, gRPC-Web and gRPC, and /healthz, /readyz and
// /metrics.
func NewHTTPHandler(cfg Config) http.Handler {
	g := &gate{cfg.Log, cfg.AuditLog, cfg.Tracer, cfg.Service.Release}
	shared := codec{g, cfg.MaxRequestBytes, cfg.Service.Types}
	inJSON := &jsonCodec{codec: shared, name: "json"}
	options := connect.WithHandlerOptions(
		connect.WithCodec(&binaryCodec{shared}),
		connect.WithCodec(inJSON),
		connect.WithCodec(&jsonCodec{codec: shared, name: "json; charset=utf-8"}),
		connect.WithReadMaxBytes(hardLimit(cfg.MaxRequestBytes)),
		withCompression(hardLimit(cfg.MaxRequestBytes)),
		connect.WithInterceptors(connectGate{g, inJSON}),
	)
	mux := http.NewServeMux()
	mux.Handle(tidingsv1connect.NewTopicServiceHandler(cfg.Service, options))
	mux.Handle(tidingsv1connect.NewPublisherServiceHandler(connectPublisher{Service: cfg.Service}, options))
	mux.Handle(connectPublish(cfg.Service, options))
	mux.Handle(tidingsv1connect.NewReaderServiceHandler(connectReader{cfg.Service}, options))
	mux.Handle(tidingsv1connect.NewSubscriptionServiceHandler(cfg.Service, options))
	mux.Handle(tidingsv1connect.NewConsumerServiceHandler(connectConsumer{cfg.Service}, options))
	mux.Handle(tidingsv1connect.NewDeadLetterServiceHandler(cfg.Service, options))
	mux.Handle(tidingsv1connect.NewSchemaServiceHandler(cfg.Service, options))
	mux.Handle(tidingsv1beta1connect.NewSchemaServiceHandler(cfg.Service, options))
	mux.Handle(tidingsv1connect.NewServerServiceHandler(cfg.Service, options))
	auxiliary := auxiliaryOptions(g)
	handleHealth(mux, cfg, auxiliary)
	if cfg.Metrics != nil {
		mux.Handle("GET /metrics", cfg.Metrics.Handler())
	}
	handleReflection(mux, cfg, auxiliary)
	mux.HandleFunc("GET /{$}", frontPage(cfg.Service))
	mux.HandleFunc("/", nowhere)
	// limitBody has the writer of net/http, which otherwise resets the connection
	// of a body that is too large before its client reads the answer.
	handler := withWebText(guardBrowsers(authenticate(refuseMalformed(limitBody(withHints(mux), cfg)), cfg), cfg))
	if cfg.Metrics != nil {
		return record(handler, cfg.Metrics)
	}
	return handler
}

// connectGate is the gate as connect-go's interceptor.
type connectGate struct {
	*gate

	json *jsonCodec
}

func (g connectGate) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (response connect.AnyResponse, err error) {
		ctx, span := g.callConnect(ctx, request.Spec().Procedure, request.Peer(), request.Header())
		defer func() {
			var known *service.Error
			if err != nil {
				known = g.asError(ctx, err)
				err = connectError(known)
			}
			g.audit(ctx, request.Spec().Procedure, request.Peer().Addr, request.Any(), known)
			tracing.EndCall(span, service.TraceFault(known))
		}()
		defer guard.Recover(&err)
		if err := g.admit(ctx, request.Any()); err != nil {
			return nil, err
		}
		if response, err = next(ctx, request); err != nil {
			return nil, err
		}
		delivered(ctx, response.Any())
		if !isJSON(request) {
			return response, nil
		}
		// Protobuf is encoded by connect-go, which can't fail: the response was
		// decoded before, or made here.
		result, err := g.encode(ctx, request.Any(), response.Any(), g.json.encode)
		if err != nil {
			return nil, err
		}
		return connect.NewResponse(result), nil
	}
}

// isJSON reports whether a request is answered in JSON.
func isJSON(request connect.AnyRequest) bool {
	if request.HTTPMethod() == http.MethodGet { // It has no body whose type would count.
		return strings.HasPrefix(request.Peer().Query.Get("encoding"), "json")
	}
	return strings.Contains(request.Header().Get("Content-Type"), "json")
}

func (g connectGate) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) (err error) {
		ctx, begun := g.enterConnect(ctx, conn.Spec().Procedure, conn.Peer(), conn.RequestHeader()), time.Now()
		defer func() {
			if err != nil {
				known := g.asError(ctx, err)
				g.tracer.Failed(ctx, begun, service.TraceFault(known))
				err = connectError(known)
			}
		}()
		defer guard.Recover(&err)
		stream, end, err := streamContext(ctx)
		if err != nil {
			return err
		}
		defer end()
		ctx = stream // Which says why it ended.
		err = next(ctx, &gatedConn{conn, ctx, g.gate, messageMeter{}})
		if connect.CodeOf(err) == connect.CodeUnimplemented {
			return receiveFault(err) // There was no request.
		}
		return err
	}
}

func (g connectGate) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// gatedConn admits what is received, and says what its faults amount to.
type gatedConn struct {
	connect.StreamingHandlerConn

	ctx  context.Context //nolint:containedctx // That of the call, which the connection doesn't tell.
	gate *gate

	messages messageMeter
}

func (c *gatedConn) Receive(message any) error {
	if err := c.StreamingHandlerConn.Receive(message); err != nil {
		return receiveFault(err)
	}
	if err := c.messages.await(c.ctx); err != nil {
		return err
	}
	return c.gate.admit(c.ctx, message)
}

func (c *gatedConn) Send(message any) error {
	return sendFault(c.StreamingHandlerConn.Send(message))
}

// connectPublisher lacks Publish, as grpcPublisher does: see publish.go.
type (
	connectPublisher struct {
		*service.Service
		unhandledPublisher
	}
	unhandledPublisher struct {
		tidingsv1connect.UnimplementedPublisherServiceHandler
	}
)

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
