package rpc_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
)

// What isn't of the contract keeps to the policy as well: the metrics are for monitor,
// reflection is for everybody who has a role, and health is for everybody.
func TestAccessToTheRest(t *testing.T) {
	t.Parallel()
	s, all := newGuarded(t, `
- {principals: ['key:reader'], roles: [read], topics: [orders]}
- {principals: ['key:monitor'], roles: [monitor]}
- {principals: ['key:admin'], roles: [admin]}
`, "reader", "monitor", "admin", "nobody")
	all["wrong"], all["none"] = all["admin"]+"x", ""
	for name, want := range map[string]struct {
		metrics, page int
		reflection    codes.Code
	}{
		"none":    {http.StatusUnauthorized, http.StatusUnauthorized, codes.Unauthenticated},
		"wrong":   {http.StatusUnauthorized, http.StatusUnauthorized, codes.Unauthenticated},
		"nobody":  {http.StatusForbidden, http.StatusForbidden, codes.PermissionDenied},
		"reader":  {http.StatusForbidden, http.StatusNotFound, codes.OK},
		"monitor": {http.StatusOK, http.StatusNotFound, codes.OK},
		"admin":   {http.StatusOK, http.StatusNotFound, codes.OK},
	} {
		get := func(path string) (int, string) {
			t.Helper()
			request, err := http.NewRequestWithContext(testContext(t), http.MethodGet, "http://"+s.httpAddr+path, http.NoBody)
			noError(t, err)
			withHeader{all[name]}.set(request.Header)
			response, err := newHTTPClient(t, false).Do(request)
			noError(t, err)
			defer response.Body.Close() //nolint:errcheck // It is read to its end.
			body, err := io.ReadAll(response.Body)
			noError(t, err)
			return response.StatusCode, string(body)
		}
		if got, body := get("/metrics"); got != want.metrics || strings.Contains(body, "tidings_build_info") != (got == http.StatusOK) {
			t.Errorf("/metrics with %s: %d, %q", name, got, body)
		}
		for _, path := range []string{"/nothing", "/metrics/", "//metrics", "/healthz/../metrics"} {
			if got, body := get(path); got != want.page && got != want.metrics || strings.Contains(body, "tidings_build_info") && want.metrics != http.StatusOK {
				t.Errorf("%s with %s: %d, %q", path, name, got, body)
			}
		}
		for _, path := range []string{"/healthz", "/readyz"} {
			if got, _ := get(path); got == http.StatusUnauthorized || got == http.StatusForbidden {
				t.Errorf("%s with %s: %d", path, name, got)
			}
		}
		for port, addr := range map[string]string{"native": s.grpcAddr, "HTTP": s.httpAddr} {
			ctx := testContext(t)
			if all[name] != "" {
				ctx = metadata.AppendToOutgoingContext(ctx, "authorization", all[name])
			}
			conn := dialGRPC(t, addr)
			if _, err := healthpb.NewHealthClient(conn).Check(ctx, new(healthpb.HealthCheckRequest)); err != nil {
				t.Errorf("health over %s with %s: %v", port, name, err)
			}
			stream, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
			noError(t, err)
			err = stream.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}})
			if err != nil && !errors.Is(err, io.EOF) { // The reason is what Recv returns.
				t.Fatal(err)
			}
			if _, err = stream.Recv(); status.Code(err) != want.reflection {
				t.Errorf("reflection over %s with %s: %v, want %s", port, name, err, want.reflection)
			}
		}
	}
}
