package rpc_test

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"example.com/tidings/server/internal/rpc"
	"example.com/tidings/server/internal/telemetry"
)

// doorsOf are a path of each thing that the HTTP port serves.
var doorsOf = []string{
	publishPath, readPath, "/tidings.v1.ReaderService/Read", "/grpc.health.v1.Health/Check",
	"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "/metrics", "/healthz", "/readyz", "/", "/nothing",
}

// answerTo calls a server of this test, whatever it is called.
func answerTo(t *testing.T, http2 bool, method, url, host string, header http.Header) (status int, answer string) {
	t.Helper()
	request, err := http.NewRequestWithContext(testContext(t), method, url, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	request.Host, request.Header = host, header
	response, err := newHTTPClient(t, http2).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // The body was read.
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestHost(t *testing.T) {
	t.Parallel()
	config := func(check bool, hosts ...string) func(*rpc.Config) {
		return func(c *rpc.Config) {
			c.CheckHost, c.Hosts = check, hosts
			c.Metrics = telemetry.New(telemetry.Config{Version: "1", Log: slog.New(slog.DiscardHandler)})
		}
	}
	own := []string{"localhost", "localhost:1", "LOCALHOST.", "a.localhost:80", "127.0.0.1", "127.1.2.3:7070", "[::1]", "[::1]:7070", "[::ffff:127.0.0.1]:1"}
	foreign := []string{"evil.example", "evil.example:7070", "localhost.evil.example", "notlocalhost", "10.0.0.1:7070", "[fd00::1]:7070", "0.0.0.0", "127.0.0.1.evil.example"}
	for name, test := range map[string]struct {
		change         func(*rpc.Config)
		taken, refused []string
	}{
		"loopback":      {config(true), own, foreign},
		"further names": {config(true, "events.example.com", "10.0.0.1"), append(own, "events.example.com:80", "Events.Example.Com", "10.0.0.1:7070"), []string{"evil.example", "www.events.example.com", "10.0.0.2"}},
		"everywhere":    {config(false), append(own, foreign...), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newHandlerServer(t, test.change)
			for _, http2 := range []bool{false, true} {
				for _, host := range test.taken {
					if status, answer := answerTo(t, http2, http.MethodGet, s.URL+"/healthz", host, nil); status != http.StatusOK {
						t.Errorf("%s is answered with %d: %s", host, status, answer)
					}
				}
				for _, host := range test.refused {
					for _, path := range doorsOf {
						for _, method := range []string{http.MethodGet, http.MethodPost} {
							status, answer := answerTo(t, http2, method, s.URL+path, host, http.Header{"Content-Type": {"application/json"}})
							if status != http.StatusForbidden || !strings.Contains(answer, "--hosts") {
								t.Errorf("%s %s by %s is answered with %d: %s", method, path, host, status, answer)
							}
						}
					}
				}
			}
		})
	}
}

func TestOrigin(t *testing.T) {
	t.Parallel()
	s := newHandlerServer(t, func(c *rpc.Config) { c.CheckHost = true })
	host := strings.TrimPrefix(s.URL, "http://")
	for name, test := range map[string]struct {
		header  http.Header
		refused bool
	}{
		"a program":                  {},
		"a page of the same origin":  {header: http.Header{"Origin": {s.URL}, "Sec-Fetch-Site": {"same-origin"}}},
		"one in an older browser":    {header: http.Header{"Origin": {s.URL}}},
		"another origin":             {http.Header{"Origin": {"http://evil.example"}, "Sec-Fetch-Site": {"cross-site"}}, true},
		"another port":               {http.Header{"Origin": {"http://127.0.0.1:1"}, "Sec-Fetch-Site": {"same-site"}}, true},
		"another, an older browser":  {http.Header{"Origin": {"http://evil.example"}}, true},
		"a frame without an origin":  {http.Header{"Origin": {"null"}}, true},
		"a form that posts as text":  {http.Header{"Origin": {"http://evil.example"}, "Content-Type": {"text/plain"}}, true},
		"gRPC-Web of another origin": {http.Header{"Origin": {"http://evil.example"}, "Content-Type": {"application/grpc-web+proto"}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.header.Get("Content-Type") == "" {
				test.header = test.header.Clone()
				if test.header == nil {
					test.header = make(http.Header)
				}
				test.header.Set("Content-Type", "application/json")
			}
			for _, http2 := range []bool{false, true} {
				status, answer := answerTo(t, http2, http.MethodPost, s.URL+listPath, host, test.header)
				refused := strings.Contains(answer, "another origin") || status == http.StatusForbidden
				if strings.Contains(test.header.Get("Content-Type"), "grpc") {
					refused = !strings.Contains(answer, "grpc-status: 0") // Its errors have the status 200.
				}
				if refused != test.refused {
					t.Errorf("it is answered with %d: %s", status, answer)
				}
			}
		})
	}
}
