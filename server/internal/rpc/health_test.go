package rpc_test

import (
	"context"
	"io"
	"net/http"
	"slices"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

const (
	serving    = grpc_health_v1.HealthCheckResponse_SERVING
	notServing = grpc_health_v1.HealthCheckResponse_NOT_SERVING
)

// healthClient is grpc.health.v1 over either listener.
type healthClient struct {
	check func(ctx context.Context, service string) (*grpc_health_v1.HealthCheckResponse, error)
	watch func(ctx context.Context, service string) (next func() (*grpc_health_v1.HealthCheckResponse, error), err error)
}

func healthClients(t *testing.T, s *server) map[string]healthClient {
	t.Helper()
	native := grpc_health_v1.NewHealthClient(dialGRPC(t, s.grpcAddr))
	clients := map[string]healthClient{"native": {
		check: func(ctx context.Context, service string) (*grpc_health_v1.HealthCheckResponse, error) {
			return native.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: service})
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
		httpClient := newHTTPClient(t, transport.http2)
		check := connect.NewClient[grpc_health_v1.HealthCheckRequest, grpc_health_v1.HealthCheckResponse](httpClient, url+"Check", transport.options())
		watch := connect.NewClient[grpc_health_v1.HealthCheckRequest, grpc_health_v1.HealthCheckResponse](httpClient, url+"Watch", transport.options())
		clients[transport.String()] = healthClient{
			check: func(ctx context.Context, service string) (*grpc_health_v1.HealthCheckResponse, error) {
				response, err := check.CallUnary(ctx, connect.NewRequest(&grpc_health_v1.HealthCheckRequest{Service: service}))
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
			_, err := c.check(testContext(t), "nothing")
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

func TestReflection(t *testing.T) {
	t.Parallel()
	for name, addr := range map[string]string{"native": shared.grpcAddr, "http": shared.httpAddr} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stream, err := grpc_reflection_v1.NewServerReflectionClient(dialGRPC(t, addr)).ServerReflectionInfo(testContext(t))
			if err != nil {
				t.Fatal(err)
			}
			ask := func(request *grpc_reflection_v1.ServerReflectionRequest) *grpc_reflection_v1.ServerReflectionResponse {
				t.Helper()
				if err := stream.Send(request); err != nil {
					t.Fatal(err)
				}
				response, err := stream.Recv()
				if err != nil {
					t.Fatal(err)
				}
				return response
			}
			var services []string
			for _, service := range ask(&grpc_reflection_v1.ServerReflectionRequest{
				MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{},
			}).GetListServicesResponse().GetService() {
				services = append(services, service.GetName())
			}
			for _, want := range []string{
				"grpc.health.v1.Health", "tidings.v1.PublisherService", "tidings.v1.ReaderService",
				"tidings.v1.SchemaService", "tidings.v1.ServerService", "tidings.v1.TopicService",
			} {
				if !slices.Contains(services, want) {
					t.Errorf("%s is missing in %q", want, services)
				}
			}
			for symbol, want := range map[string]string{
				"tidings.v1.PublisherService":  "tidings/v1/publisher_service.proto",
				orderPlaced:                    "shop/orders/v1/events.proto",
				"github.webhooks.v1.PushEvent": "github/webhooks/v1/push_event.proto", // In the set only.
			} {
				response := ask(&grpc_reflection_v1.ServerReflectionRequest{
					MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: symbol},
				})
				files := response.GetFileDescriptorResponse().GetFileDescriptorProto()
				if len(files) == 0 {
					t.Errorf("%s: %v", symbol, response)
					continue
				}
				var names []string
				for _, encoded := range files {
					file := new(descriptorpb.FileDescriptorProto)
					if err := proto.Unmarshal(encoded, file); err != nil {
						t.Fatal(err)
					}
					names = append(names, file.GetName())
				}
				if !slices.Contains(names, want) {
					t.Errorf("%s is in %q, want %s", symbol, names, want)
				}
			}
			response := ask(&grpc_reflection_v1.ServerReflectionRequest{
				MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "a.B"},
			})
			if codes.Code(response.GetErrorResponse().GetErrorCode()) != codes.NotFound {
				t.Errorf("an unknown symbol: %v", response)
			}
		})
	}
}
