package rpc_test

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	"example.com/tidings/server/internal/auth"
	"example.com/tidings/server/internal/quota"
	"example.com/tidings/server/internal/rpc"
	"example.com/tidings/server/internal/telemetry"
)

// newGuarded starts a server that takes API keys of these names, with these grants, and
// returns the value of the Authorization header of each.
func newGuarded(t *testing.T, grants string, names ...string) (s *server, credentials map[string]string) {
	t.Helper()
	dir, keys := t.TempDir(), new(auth.KeyFile)
	credentials = make(map[string]string)
	for _, name := range names {
		key, stored, err := auth.NewKey(name, time.Now(), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		keys.Keys = append(keys.Keys, stored)
		credentials[name] = "Bearer " + key
	}
	if err := keys.Write(filepath.Join(dir, "keys.yaml")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "access.yaml")
	if err := os.WriteFile(path, []byte("api_keys: keys.yaml\ngrants:\n"+grants), 0o600); err != nil {
		t.Fatal(err)
	}
	return startGuarded(t, path), credentials
}

// startGuarded starts a server with an access file and the types of the examples.
func startGuarded(t *testing.T, path string, settings ...func(*rpc.Config)) *server {
	t.Helper()
	refused := new(atomic.Int64)
	access, closeAccess, err := auth.Open(t.Context(), path, slog.New(slog.DiscardHandler), func(applied bool) {
		if !applied {
			refused.Add(1)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closeAccess)
	s, err := startWith(t.Context(), t.TempDir(), nil, append(settings, func(c *rpc.Config) {
		c.Access, c.Quotas = access, quota.NewAccounts(quota.Limits{Events: 1_000_000_000})
		if c.Metrics == nil {
			c.Metrics = telemetry.New(telemetry.Config{Version: "1", Log: slog.New(slog.DiscardHandler)})
		}
	})...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	s.access, s.refused = access, refused
	return s
}

// header is an Authorization header as gRPC has it.
type header struct{ value string }

func (h header) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	if h.value == "" {
		return map[string]string{}, nil
	}
	return map[string]string{"authorization": h.value}, nil
}

func (h header) RequireTransportSecurity() bool { return false }

// withHeader adds an Authorization header, unless it is empty, to every call.
type withHeader struct{ value string }

func (h withHeader) set(headers http.Header) {
	if h.value != "" {
		headers.Set("Authorization", h.value)
	}
}

func (h withHeader) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		h.set(request.Header())
		return next(ctx, request)
	}
}

func (h withHeader) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, spec connect.Spec) connect.StreamingClientConn {
		conn := next(ctx, spec)
		h.set(conn.RequestHeader())
		return conn
	}
}

func (h withHeader) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
