package rpc_test

import (
	"context"
	"io"
	"net/http"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
)

const (
	serving    = grpc_health_v1.HealthCheckResponse_SERVING
	notServing = grpc_health_v1.HealthCheckResponse_NOT_SERVING
)

// healthClient is grpc.health.v1 over either listener.
type healthClient struct {
	check func(ctx context.Context, service string) (*grpc_health_v1.HealthCheckResponse, error)
	list  func(ctx context.Context) (*grpc_health_v1.HealthListResponse, error)
	watch func(ctx context.Context, service string) (next func() (*grpc_health_v1.HealthCheckResponse, error), err error)
}

func healthClients(t *testing.T, s *server) map[string]healthClient {
	t.Helper()
	native := grpc_health_v1.NewHealthClient(dialGRPC(t, s.grpcAddr))
	clients := map[string]healthClient{"native": {
		check: func(ctx context.Context, service string) (*grpc_health_v1.HealthCheckResponse, error) {
			return native.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: service})
		},
		list: func(ctx context.Context) (*grpc_health_v1.HealthListResponse, error) {
			return native.List(ctx, new(grpc_health_v1.HealthListRequest))
		},
		watch: func(ctx context.Context, service string) (func() (*grpc_health_v1.HealthCheckResponse, error), error) {
			stream, err := native.Watch(ctx, &grpc_health_v1.HealthCheckRequest{Service: service})
			if err != nil {
				return nil, err
			}
			return stream.Recv, nil
		},
	}}
	for _, transport := range transports() {
		if transport.native || transport.get {
			continue
		}
		url := "http://" + s.httpAddr + "/grpc.health.v1.Health/"
		httpClient := transport.httpClient(t)
		check := connect.NewClient[grpc_health_v1.HealthCheckRequest, grpc_health_v1.HealthCheckResponse](httpClient, url+"Check", transport.options())
		list := connect.NewClient[grpc_health_v1.HealthListRequest, grpc_health_v1.HealthListResponse](httpClient, url+"List", transport.options())
		watch := connect.NewClient[grpc_health_v1.HealthCheckRequest, grpc_health_v1.HealthCheckResponse](httpClient, url+"Watch", transport.options())
		clients[transport.String()] = healthClient{
			check: func(ctx context.Context, service string) (*grpc_health_v1.HealthCheckResponse, error) {
				response, err := check.CallUnary(ctx, connect.NewRequest(&grpc_health_v1.HealthCheckRequest{Service: service}))
				if err != nil {
					return nil, err
				}
				return response.Msg, nil
			},
			list: func(ctx context.Context) (*grpc_health_v1.HealthListResponse, error) {
				response, err := list.CallUnary(ctx, connect.NewRequest(new(grpc_health_v1.HealthListRequest)))
				if err != nil {
					return nil, err
				}
				return response.Msg, nil
			},
			watch: func(ctx context.Context, service string) (func() (*grpc_health_v1.HealthCheckResponse, error), error) {
				stream, err := watch.CallServerStream(ctx, connect.NewRequest(&grpc_health_v1.HealthCheckRequest{Service: service}))
				if err != nil {
					return nil, err
				}
				return func() (*grpc_health_v1.HealthCheckResponse, error) {
					if !stream.Receive() {
						return nil, stream.Err()
					}
					return stream.Msg(), nil
				}, nil
			},
		}
	}
	return clients
}

func TestHealth(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	clients := healthClients(t, s)
	for name, c := range clients {
		t.Run("Check/"+name, func(t *testing.T) {
			for _, service := range []string{"", "tidings.v1.PublisherService", "tidings.v1.ReaderService"} {
				if response, err := c.check(testContext(t), service); err != nil || response.GetStatus() != serving {
					t.Errorf("%q: %v, %v", service, response, err)
				}
			}
			all, err := c.list(testContext(t))
			if err != nil {
				t.Fatal(err)
			}
			for _, service := range []string{"", "tidings.v1.PublisherService", "tidings.v1beta1.SchemaService"} {
				if got := all.GetStatuses()[service].GetStatus(); got != serving {
					t.Errorf("%q is %s in the list", service, got)
				}
			}
			_, err = c.check(testContext(t), "nothing")
			if err == nil {
				t.Fatal("an unknown service is healthy")
			}
			if code, _, _ := partsOf(t, err); code != codes.NotFound {
				t.Errorf("an unknown service: %v", err)
			}
		})
	}
	watches := make(map[string]func() (*grpc_health_v1.HealthCheckResponse, error))
	ctx := testContext(t)
	for name, c := range clients {
		next, err := c.watch(ctx, "tidings.v1.ReaderService")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if response, err := next(); err != nil || response.GetStatus() != serving {
			t.Fatalf("%s: %v, %v", name, response, err)
		}
		watches[name] = next
	}
	if got := fetch(t, s, "/healthz"); got != http.StatusOK {
		t.Errorf("/healthz gives %d", got)
	}
	if got := fetch(t, s, "/readyz"); got != http.StatusOK {
		t.Errorf("/readyz gives %d", got)
	}
	s.health.Shutdown()
	s.service.Drain()
	for name, next := range watches {
		if response, err := next(); err != nil || response.GetStatus() != notServing {
			t.Errorf("%s: %v, %v", name, response, err)
		}
	}
	if got := fetch(t, s, "/readyz"); got != http.StatusServiceUnavailable {
		t.Errorf("while draining /readyz gives %d", got)
	}
	if got := fetch(t, s, "/healthz"); got != http.StatusOK {
		t.Errorf("while draining /healthz gives %d", got)
	}
}

// fetch returns the status of a page.
func fetch(t *testing.T, s *server, path string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(testContext(t), http.MethodGet, "http://"+s.httpAddr+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := newHTTPClient(t, false).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // The body was read.
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode
}
