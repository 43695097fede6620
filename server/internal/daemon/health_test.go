package daemon_test

import (
	"context"
	"net/http"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/health/grpc_health_v1"

	"example.com/tidings/server/internal/daemon"
	"example.com/tidings/server/internal/engine/jetstream/natstest"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// healthBound is far more than health may take to follow.
const healthBound = time.Minute

// expectHealth waits until a watch of gRPC health says one thing, and checks that
// /readyz says the same by then.
func expectHealth(t *testing.T, p *process, watch grpc_health_v1.Health_WatchClient, want grpc_health_v1.HealthCheckResponse_ServingStatus) {
	t.Helper()
	for {
		response, err := watch.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if response.GetStatus() == want {
			break
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.HTTP+"/readyz", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if ready := response.StatusCode == http.StatusOK; ready != (want == grpc_health_v1.HealthCheckResponse_SERVING) {
		t.Errorf("gRPC health is %s and /readyz %s", want, response.Status)
	}
}

func watchHealth(t *testing.T, p *process) grpc_health_v1.Health_WatchClient {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), healthBound)
	t.Cleanup(cancel)
	watch, err := grpc_health_v1.NewHealthClient(p.dial(t)).Watch(ctx, &grpc_health_v1.HealthCheckRequest{Service: "tidings.v1.PublisherService"})
	if err != nil {
		t.Fatal(err)
	}
	return watch
}

// What can't reach its storage doesn't serve, as gRPC health says too.
func TestHealthFollowsTheStorage(t *testing.T) {
	t.Parallel()
	nats := natstest.Start(t)
	cfg := daemon.DefaultConfig()
	cfg.DataDir, cfg.NATSURL = "", natstest.URL(nats)
	server := start(t, cfg)
	watch := watchHealth(t, server)
	expectHealth(t, server, watch, grpc_health_v1.HealthCheckResponse_SERVING)
	nats.End()
	expectHealth(t, server, watch, grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	nats.Restart(t)
	expectHealth(t, server, watch, grpc_health_v1.HealthCheckResponse_SERVING)
}

// A server that is told to stop says so first, and serves meanwhile.
func TestShutdownDelay(t *testing.T) {
	t.Parallel()
	cfg := daemon.DefaultConfig()
	cfg.DataDir, cfg.ShutdownDelay = t.TempDir(), 10*time.Second
	server := start(t, cfg)
	watch := watchHealth(t, server)
	expectHealth(t, server, watch, grpc_health_v1.HealthCheckResponse_SERVING)
	told := time.Now()
	if err := server.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	expectHealth(t, server, watch, grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	if _, err := tidingsv1.NewTopicServiceClient(server.dial(t)).ListTopics(t.Context(), new(tidingsv1.ListTopicsRequest)); err != nil {
		t.Errorf("a call while the server is about to stop: %v", err)
	}
	<-server.Done()
	if took := time.Since(told); took < cfg.ShutdownDelay {
		t.Errorf("the server ended after %s", took)
	}
	if code := server.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d: %s", code, server.Output())
	}
}
