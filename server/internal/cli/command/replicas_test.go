package command

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// fakeReplica is a server that counts its calls.
type fakeReplica struct {
	tidingsv1.UnimplementedServerServiceServer

	url    string
	server *grpc.Server
	health *health.Server
	calls  atomic.Int64
}

func (r *fakeReplica) GetServerInfo(context.Context, *tidingsv1.GetServerInfoRequest) (*tidingsv1.GetServerInfoResponse, error) {
	r.calls.Add(1)
	return new(tidingsv1.GetServerInfoResponse), nil
}

func startReplicas(t *testing.T, count int) (list []*fakeReplica, urls []string) {
	t.Helper()
	for range count {
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		r := &fakeReplica{url: "grpc://" + listener.Addr().String(), server: grpc.NewServer(), health: health.NewServer()}
		tidingsv1.RegisterServerServiceServer(r.server, r)
		grpc_health_v1.RegisterHealthServer(r.server, r.health)
		ended := make(chan error, 1)
		go func() { ended <- r.server.Serve(listener) }()
		t.Cleanup(func() {
			r.server.Stop()
			if err := <-ended; err != nil && !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		})
		list, urls = append(list, r), append(urls, r.url)
	}
	return list, urls
}

// A server that is gone or doesn't serve is passed over; the others share the calls.
func TestReplicasShareCalls(t *testing.T) {
	list, urls := startReplicas(t, 3)
	t.Setenv(ServerVariable, strings.Join(urls, ","))
	// Each command has a client of its own, which asks for the health anew.
	call := func(times int) error {
		t.Helper()
		c, err := new(App).Client()
		if err != nil {
			t.Fatal(err)
		}
		for range times {
			if _, err = c.Info.GetServerInfo(t.Context(), new(tidingsv1.GetServerInfoRequest)); err != nil {
				return err
			}
		}
		return nil
	}
	counts := func() (counts [3]int64) {
		for i, r := range list {
			counts[i] = r.calls.Swap(0)
		}
		return counts
	}
	if err := call(9); err != nil || counts() != [3]int64{3, 3, 3} {
		t.Errorf("nine calls aren't spread: %v", err)
	}
	list[1].health.SetServingStatus("", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	list[2].server.Stop()
	if err := call(5); err != nil || counts() != [3]int64{5, 0, 0} {
		t.Errorf("the calls don't go to the server that serves: %v", err)
	}
	list[0].server.Stop() // The other one says itself why it doesn't serve.
	if err := call(2); err != nil || counts() != [3]int64{0, 2, 0} {
		t.Errorf("the calls don't go to the server that is reached: %v", err)
	}
	list[1].server.Stop()
	err := call(1)
	if connect.CodeOf(err) != connect.CodeUnavailable {
		t.Fatalf("the call ended with %v", err)
	}
	for _, u := range urls {
		if at := strings.TrimPrefix(u, "grpc://"); !strings.Contains(err.Error(), at) {
			t.Errorf("the error doesn't name %s: %v", at, err)
		}
	}
}

// A server that is lost while a client uses it gets no more than one call.
func TestReplicaIsLost(t *testing.T) {
	list, urls := startReplicas(t, 2)
	c, err := (&App{server: urls}).Client()
	if err != nil {
		t.Fatal(err)
	}
	call := func() error {
		_, err := c.Info.GetServerInfo(t.Context(), new(tidingsv1.GetServerInfoRequest))
		return err
	}
	for range 4 {
		if err := call(); err != nil {
			t.Fatal(err)
		}
	}
	list[0].server.Stop()
	failures := 0
	for range 10 {
		if call() != nil {
			failures++
		}
	}
	if failures > 1 {
		t.Errorf("%d of 10 calls failed", failures)
	}
}

func TestServersAreAlike(t *testing.T) {
	for text, problem := range map[string]string{
		"http://a:1,http://b:1":   "",
		"http://a:1,grpc://b:1":   "differ in more than host and port",
		"http://a:1/x,http://b:1": "differ in more than host and port",
		"http://a:1,":             `the server "" is not`,
		"http://a:1,b:1":          "is not http(s)://",
	} {
		t.Setenv(ServerVariable, text)
		_, err := new(App).Client()
		if problem == "" && err != nil || problem != "" && (err == nil || !strings.Contains(err.Error(), problem) || ExitStatus(err) != StatusUsage) {
			t.Errorf("%s: %v, want %q", text, err, problem)
		}
	}
	// Every server has to be one to which a token may be sent.
	_, err := (&App{server: []string{"http://127.0.0.1:1", "http://a.example:1"}, files: credentials{tokenFile: "t"}}).Client()
	if err == nil || !strings.Contains(err.Error(), "a.example") {
		t.Errorf("a token would be sent without TLS: %v", err)
	}
}
