package command

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/grpc/health/grpc_health_v1"
)

const (
	// healthFor is how long a server that serves isn't asked for its health again.
	healthFor = 5 * time.Second
	// healthTimeout is how long its answer may take.
	healthTimeout = 2 * time.Second
)

// replicas spreads calls over several servers, round robin from one that is drawn by
// lot. Before it calls one it asks for its health, unless it has done so lately; one
// that can't be reached or doesn't serve is passed over.
type replicas struct {
	list      []*server
	next      atomic.Uint64
	transport http.RoundTripper
}

// server is one of several.
type server struct {
	at     *url.URL
	health *connect.Client[grpc_health_v1.HealthCheckRequest, grpc_health_v1.HealthCheckResponse]

	mu    sync.Mutex // Held while it is asked, so that it is asked once.
	until time.Time  // Until when it counts as serving.
}

// newReplicas returns an HTTP client that calls the first server, as it believes, and
// so any of them.
func newReplicas(servers []*url.URL, transport *http.Client, options ...connect.ClientOption) *http.Client {
	r := &replicas{transport: transport.Transport}
	r.next.Store(rand.Uint64N(uint64(len(servers)))) //nolint:gosec // No secret.
	for _, u := range servers {
		r.list = append(r.list, &server{at: u, health: connect.NewClient[grpc_health_v1.HealthCheckRequest, grpc_health_v1.HealthCheckResponse](
			transport, strings.TrimRight(u.String(), "/")+grpc_health_v1.Health_Check_FullMethodName, options...)})
	}
	return &http.Client{Transport: r}
}

// RoundTrip sends a request to a server that serves. Where none does it goes to one that
// can be reached, which says why, and else the error says what is wrong with each.
func (r *replicas) RoundTrip(request *http.Request) (*http.Response, error) {
	first := r.next.Add(1)
	var reached *server
	var failed []string
	for i := range r.list {
		s := r.list[(first+uint64(i))%uint64(len(r.list))]
		serves, err := s.serves(request.Context())
		switch {
		case serves:
			return r.send(s, request)
		case err == nil:
			reached = s
		default:
			failed = append(failed, s.at.String()+": "+err.Error())
		}
	}
	if reached != nil {
		return r.send(reached, request)
	}
	if err := request.Context().Err(); err != nil {
		return nil, err
	}
	return nil, errors.New(strings.Join(failed, "; "))
}

func (r *replicas) send(s *server, request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.URL.Host, request.Host = s.at.Host, s.at.Host
	response, err := r.transport.RoundTrip(request)
	if err != nil {
		s.mu.Lock()
		s.until = time.Time{}
		s.mu.Unlock()
	}
	return response, err
}

// serves reports whether the server says that it serves. An error says that it can't be
// reached.
func (s *server) serves(ctx context.Context) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().Before(s.until) {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	response, err := s.health.CallUnary(ctx, connect.NewRequest(new(grpc_health_v1.HealthCheckRequest)))
	switch code := connect.CodeOf(err); {
	case err == nil && response.Msg.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING:
		return false, nil
	case err != nil && (code == connect.CodeUnavailable || code == connect.CodeDeadlineExceeded || code == connect.CodeCanceled):
		return false, problem(err)
	}
	// An answer of another kind, as of a server that has no health, is one too.
	s.until = time.Now().Add(healthFor)
	return true, nil
}

// problem is what an error says without its code, which is that of asking for health.
func problem(err error) error {
	if failed, ok := errors.AsType[*connect.Error](err); ok {
		return errors.New(failed.Message())
	}
	return err
}
