package daemon_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"golang.org/x/net/http2"
	"google.golang.org/protobuf/proto"

	"example.com/tidings/gen/go/tidings/v1/tidingsv1connect"
	"example.com/tidings/server/internal/daemon"
	"example.com/tidings/server/internal/quota"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// announced returns what a server says of its connections over HTTP/2.
func announced(t *testing.T, address string) map[http2.SettingID]uint32 {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // It was read.
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(conn, conn)
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		settings, ok := frame.(*http2.SettingsFrame)
		if !ok || settings.IsAck() {
			continue
		}
		said := make(map[http2.SettingID]uint32)
		if err := settings.ForeachSetting(func(s http2.Setting) error { said[s.ID] = s.Val; return nil }); err != nil {
			t.Fatal(err)
		}
		return said
	}
}

// The bounds of a connection hold on both ports, and clients are told them.
func TestBoundsOfAConnection(t *testing.T) {
	t.Parallel()
	cfg := daemon.DefaultConfig()
	cfg.DataDir, cfg.MaxConnectionCalls, cfg.MaxHeaderBytes = t.TempDir(), 7, 16<<10
	p := start(t, cfg)
	for _, address := range []string{p.HTTP, p.GRPC} {
		said := announced(t, address)
		// net/http adds what HTTP/2 counts for each of ten headers.
		if headers := said[http2.SettingMaxHeaderListSize]; said[http2.SettingMaxConcurrentStreams] != 7 || headers < 16<<10 || headers > 16<<10+320 {
			t.Errorf("%s announces %v", address, said)
		}
	}
	info, err := tidingsv1connect.NewServerServiceClient(http.DefaultClient, "http://"+p.HTTP).GetServerInfo(t.Context(), &tidingsv1.GetServerInfoRequest{})
	if err != nil || info.GetLimits().GetMaxCallsPerConnection() != 7 || info.GetLimits().GetMaxHeaderBytes() != 16<<10 || info.GetQuota() != nil {
		t.Errorf("%v, %v", info, err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.HTTP+"/healthz", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Cookie", strings.Repeat("x", 24<<10))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("headers of 24 KiB: %s", response.Status)
	}
}

// Without an access file all callers together have the quota of the settings.
func TestQuotaOfEverybody(t *testing.T) {
	t.Parallel()
	cfg := daemon.DefaultConfig()
	cfg.DataDir, cfg.Quota = t.TempDir(), quota.Limits{Requests: 1, Events: 1000, Bytes: 1 << 20, Streams: 10}
	p := start(t, cfg)
	client := tidingsv1connect.NewServerServiceClient(http.DefaultClient, "http://"+p.HTTP)
	info, err := client.GetServerInfo(t.Context(), &tidingsv1.GetServerInfoRequest{})
	want := &tidingsv1.Quota{RequestsPerSecond: 1, EventsPerSecond: 1000, BytesPerSecond: 1 << 20, Streams: 10}
	if err != nil || !proto.Equal(info.GetQuota(), want) {
		t.Errorf("%v, %v", info.GetQuota(), err)
	}
	for ctx := deadline(t); err == nil; {
		_, err = client.GetServerInfo(ctx, &tidingsv1.GetServerInfoRequest{})
	}
	if failed, ok := errors.AsType[*connect.Error](err); !ok || failed.Code() != connect.CodeResourceExhausted {
		t.Fatal(err)
	}
	for ctx := deadline(t); ; {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.HTTP+"/metrics", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode == http.StatusTooManyRequests { // It is a request too.
			continue
		}
		for _, line := range []string{"tidings_quota_callers 1\n", `tidings_quota_refused_total{quota="requests_per_second"} `, `tidings_quota_refused_total{quota="streams"} 0`, `tidings_quota_wait_seconds_total{quota="events_per_second"} 0`} {
			if !strings.Contains(string(body), line) {
				t.Errorf("the metrics lack %q", line)
			}
		}
		return
	}
}
