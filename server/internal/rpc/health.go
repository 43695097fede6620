package rpc

import (
	"context"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"example.com/tidings/server/internal/service"
)

const (
	healthService = "grpc.health.v1.Health"
	readyTimeout  = 2 * time.Second
)

// handleHealth serves grpc.health.v1 over Connect's protocols, /healthz for
// whether the process answers and /readyz for whether its storage does too.
func handleHealth(mux *http.ServeMux, cfg Config) {
	check := "/" + healthService + "/Check"
	mux.Handle(check, connect.NewUnaryHandler(check,
		func(ctx context.Context, request *connect.Request[grpc_health_v1.HealthCheckRequest]) (*connect.Response[grpc_health_v1.HealthCheckResponse], error) {
			response, err := cfg.Health.Check(ctx, request.Msg)
			if err != nil {
				return nil, fromStatus(err)
			}
			return connect.NewResponse(response), nil
		}))
	watch := "/" + healthService + "/Watch"
	mux.Handle(watch, connect.NewServerStreamHandler(watch,
		func(ctx context.Context, request *connect.Request[grpc_health_v1.HealthCheckRequest], stream *connect.ServerStream[grpc_health_v1.HealthCheckResponse]) error {
			return fromStatus(grpcHealth{cfg.Health, cfg.Service}.Watch(request.Msg, &watchStream{ctx: ctx, stream: stream}))
		}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		if err := cfg.Service.Ready(ctx); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
}

// grpcHealth is grpc-go's health server, except that a watch ends once it has
// told that the server is shutting down: grpc-go would wait for its client.
type grpcHealth struct {
	*health.Server

	service *service.Service
}

func (h grpcHealth) Watch(request *grpc_health_v1.HealthCheckRequest, stream grpc.ServerStreamingServer[grpc_health_v1.HealthCheckResponse]) error {
	return h.Server.Watch(request, &endingWatch{stream, h.service})
}

type endingWatch struct {
	grpc.ServerStreamingServer[grpc_health_v1.HealthCheckResponse]

	service *service.Service
}

func (w *endingWatch) Send(response *grpc_health_v1.HealthCheckResponse) error {
	if err := w.ServerStreamingServer.Send(response); err != nil {
		return err
	}
	if w.service.Draining() {
		return status.Error(codes.Unavailable, "the server is shutting down")
	}
	return nil
}

// fromStatus turns an error of grpc-go into one of connect-go.
func fromStatus(err error) error {
	if err == nil {
		return nil
	}
	s := status.Convert(err)
	return connect.NewError(connect.Code(s.Code()), s.Err())
}

// watchStream lets grpc-go's health server send over connect-go.
type watchStream struct {
	grpc.ServerStream // Not used: the health server sends and asks for the context only.

	ctx    context.Context //nolint:containedctx // grpc-go's streams hold theirs.
	stream *connect.ServerStream[grpc_health_v1.HealthCheckResponse]
}

func (w *watchStream) Context() context.Context { return w.ctx }

func (w *watchStream) Send(response *grpc_health_v1.HealthCheckResponse) error {
	return w.stream.Send(response)
}
