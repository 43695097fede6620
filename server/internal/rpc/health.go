package rpc

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"example.com/tidings/gen/go/tidings/v1/tidingsv1connect"
	"example.com/tidings/server/internal/service"
	"example.com/tidings/server/internal/telemetry"
)

const (
	healthService = "grpc.health.v1.Health"
	readyTimeout  = time.Second
	// readyInterval is how often gRPC health follows what the server can do.
	readyInterval = time.Second
)

// auxiliaryBytes bounds, in bytes, a request for health or reflection, of which
// the largest has the name of a type. On the gRPC port they have the bound of all
// requests.
const auxiliaryBytes = 64 << 10

// auxiliaryOptions are those of health and reflection, which have errors of
// their own.
func auxiliaryOptions(g *gate) connect.HandlerOption {
	return connect.WithHandlerOptions(
		connect.WithReadMaxBytes(auxiliaryBytes),
		withCompression(auxiliaryBytes),
		connect.WithRecover(func(ctx context.Context, _ connect.Spec, _ http.Header, cause any) error {
			return connectError(g.asError(ctx, fmt.Errorf("panic: %v\n%s", cause, debug.Stack())))
		}))
}

// handleHealth serves grpc.health.v1 over Connect's protocols, /healthz for
// whether the process answers and /readyz for whether its storage does too.
func handleHealth(mux *http.ServeMux, cfg Config, options connect.HandlerOption) {
	h := grpcHealth{cfg.Health, cfg.Service}
	handleUnary(mux, "/"+healthService+"/Check", h.Check, options)
	handleUnary(mux, "/"+healthService+"/List", h.List, options)
	watch := "/" + healthService + "/Watch"
	mux.Handle(watch, connect.NewServerStreamHandlerSimple(watch,
		func(ctx context.Context, request *grpc_health_v1.HealthCheckRequest, stream *connect.ServerStream[grpc_health_v1.HealthCheckResponse]) error {
			return fromStatus(h.Watch(request, &watchStream{ctx: ctx, stream: stream}))
		}, options))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		if problem := cfg.Service.Readiness(ctx).Problem; problem != nil {
			http.Error(w, problem.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
}

// FollowReadiness makes gRPC health say what the server can do, until the context
// ends: clients and proxies that ask for it go to another server meanwhile. Where
// nothing but storing events fails, it is publishing alone that isn't served.
func FollowReadiness(ctx context.Context, h *health.Server, svc *service.Service, metrics *telemetry.Metrics) {
	tick := time.NewTicker(readyInterval)
	defer tick.Stop()
	for {
		asked, cancel := context.WithTimeout(ctx, readyTimeout)
		ready := svc.Readiness(asked)
		cancel()
		if ctx.Err() != nil {
			return
		}
		metrics.SetReady(ready.Problem == nil)
		for _, name := range append([]string{""}, serviceNames...) {
			serves := ready.Works
			if name == tidingsv1connect.PublisherServiceName {
				serves = ready.Stores
			}
			said := grpc_health_v1.HealthCheckResponse_SERVING
			if !serves {
				said = grpc_health_v1.HealthCheckResponse_NOT_SERVING
			}
			h.SetServingStatus(name, said) // Without effect once it is shut down.
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// handleUnary serves a method of grpc-go's over Connect's protocols.
func handleUnary[Request, Response any](mux *http.ServeMux, procedure string, method func(context.Context, *Request) (*Response, error), options connect.HandlerOption) {
	mux.Handle(procedure, connect.NewUnaryHandlerSimple(procedure,
		func(ctx context.Context, request *Request) (*Response, error) {
			response, err := method(ctx, request)
			return response, fromStatus(err)
		}, options))
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
	if w.service.Leaving() {
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
