package client

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// replica is a server that counts its calls and fails as many of them as it is told.
type replica struct {
	tidingsv1.UnimplementedPublisherServiceServer
	tidingsv1.UnimplementedTopicServiceServer

	address  string
	health   *health.Server
	calls    atomic.Int64
	failures atomic.Int64
	code     codes.Code
}

func (r *replica) called() error {
	r.calls.Add(1)
	if r.failures.Add(-1) >= 0 {
		return status.Error(r.code, "not now")
	}
	return nil
}

func (r *replica) Publish(context.Context, *tidingsv1.PublishRequest) (*tidingsv1.PublishResponse, error) {
	return &tidingsv1.PublishResponse{}, r.called()
}

func (r *replica) CreateTopic(context.Context, *tidingsv1.CreateTopicRequest) (*tidingsv1.CreateTopicResponse, error) {
	return &tidingsv1.CreateTopicResponse{}, r.called()
}

// dialReplicas starts servers and connects to all of them.
func dialReplicas(t *testing.T, count int) ([]*replica, *grpc.ClientConn) {
	t.Helper()
	var list []*replica
	var state resolver.State
	for range count {
		listener := listen(t)
		r := &replica{address: listener.Addr().String(), health: health.NewServer(), code: codes.Unavailable}
		server := grpc.NewServer()
		tidingsv1.RegisterPublisherServiceServer(server, r)
		tidingsv1.RegisterTopicServiceServer(server, r)
		grpc_health_v1.RegisterHealthServer(server, r.health)
		ended := make(chan error, 1)
		go func() { ended <- server.Serve(listener) }()
		t.Cleanup(func() {
			server.Stop()
			if err := <-ended; err != nil && !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		})
		list = append(list, r)
		state.Addresses = append(state.Addresses, resolver.Address{Addr: r.address})
	}
	replicas := manual.NewBuilderWithScheme("replicas")
	replicas.InitialState(state)
	conn, err := grpc.NewClient("replicas:///tidings", append(DialOptions(),
		grpc.WithResolvers(replicas), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return list, conn
}

// Calls go to every replica that is healthy, and to no other.
func TestDialOptionsFollowHealth(t *testing.T) {
	replicas, conn := dialReplicas(t, 3)
	publisher := tidingsv1.NewPublisherServiceClient(conn)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	publish := func() {
		t.Helper()
		if _, err := publisher.Publish(ctx, &tidingsv1.PublishRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	for replicas[0].calls.Load() == 0 || replicas[1].calls.Load() == 0 || replicas[2].calls.Load() == 0 {
		publish()
	}
	replicas[1].health.SetServingStatus("", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	for quiet := 0; quiet < 30; quiet++ { // Until it gets none of thirty, one after the other.
		before := replicas[1].calls.Load()
		publish()
		if replicas[1].calls.Load() != before {
			quiet = -1
		}
	}
	replicas[1].health.SetServingStatus("", grpc_health_v1.HealthCheckResponse_SERVING)
	for before := replicas[1].calls.Load(); replicas[1].calls.Load() == before; {
		publish()
	}
}

// What the catalogue says of a code and the contract of a method decides whether a call
// is made again.
func TestServiceConfigRetries(t *testing.T) {
	for name, test := range map[string]struct {
		code     codes.Code
		failures int64
		create   bool
		want     codes.Code
		calls    int64
	}{
		"a pause":                 {codes.Unavailable, 2, false, codes.OK, 3},
		"a server's fault":        {codes.Internal, 1, false, codes.OK, 2},
		"a refusal":               {codes.InvalidArgument, 1, false, codes.InvalidArgument, 1},
		"what needs a change":     {codes.ResourceExhausted, 1, false, codes.ResourceExhausted, 1},
		"a call that is no other": {codes.Unavailable, 1, true, codes.Unavailable, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			replicas, conn := dialReplicas(t, 1)
			replicas[0].code = test.code
			replicas[0].failures.Store(test.failures)
			var err error
			if test.create {
				_, err = tidingsv1.NewTopicServiceClient(conn).CreateTopic(t.Context(), &tidingsv1.CreateTopicRequest{})
			} else {
				_, err = tidingsv1.NewPublisherServiceClient(conn).Publish(t.Context(), &tidingsv1.PublishRequest{})
			}
			if got := status.Code(err); got != test.want {
				t.Errorf("the call ended with %s, want %s: %v", got, test.want, err)
			}
			if got := replicas[0].calls.Load(); got != test.calls {
				t.Errorf("the server was called %d times, want %d", got, test.calls)
			}
		})
	}
}

func TestServiceConfigIsTheFile(t *testing.T) {
	file, err := os.ReadFile(filepath.Join("..", "gen", "service_config.json"))
	if err != nil {
		t.Fatal(err)
	}
	if ServiceConfig != string(file) {
		t.Error("ServiceConfig isn't gen/service_config.json: run make generate")
	}
}
