package wire_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"example.com/tidings/conformance/internal/contract"
	"example.com/tidings/conformance/internal/wire"
)

// TestTransportsAreWhatTheySay looks at what arrives over each transport.
func TestTransportsAreWhatTheySay(t *testing.T) {
	var mu sync.Mutex
	var arrived string
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		timeout := r.Header.Get("Connect-Timeout-Ms") + r.Header.Get("Grpc-Timeout")
		arrived = fmt.Sprintf("%s %s %s %s%s %s", r.Proto, r.Method, r.URL.Path, r.Header.Get("Content-Type"), r.URL.Query().Get("encoding"), timeout)
		http.Error(w, "not here", http.StatusNotFound)
	})
	server := httptest.NewUnstartedServer(handler)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	rpc, err := contract.Find("GetTopic")
	if err != nil {
		t.Fatal(err)
	}
	const path = "/tidings.v1.TopicService/GetTopic"
	want := map[string]string{
		"native-binary-http2":      "HTTP/2.0 POST " + path + " application/grpc+proto ",
		"connect-binary-http1":     "HTTP/1.1 POST " + path + " application/proto 5000",
		"connect-binary-http2":     "HTTP/2.0 POST " + path + " application/proto 5000",
		"connect-json-http1":       "HTTP/1.1 POST " + path + " application/json 5000",
		"connect-json-http2":       "HTTP/2.0 POST " + path + " application/json 5000",
		"grpc-binary-http2":        "HTTP/2.0 POST " + path + " application/grpc 5000m",
		"grpc-json-http2":          "HTTP/2.0 POST " + path + " application/grpc+json 5000m",
		"grpcweb-binary-http1":     "HTTP/1.1 POST " + path + " application/grpc-web+proto 5000m",
		"grpcweb-binary-http2":     "HTTP/2.0 POST " + path + " application/grpc-web+proto 5000m",
		"grpcweb-json-http1":       "HTTP/1.1 POST " + path + " application/grpc-web+json 5000m",
		"grpcweb-json-http2":       "HTTP/2.0 POST " + path + " application/grpc-web+json 5000m",
		"connect-binary-http1-get": "HTTP/1.1 GET " + path + " proto 5000",
		"connect-binary-http2-get": "HTTP/2.0 GET " + path + " proto 5000",
		"connect-json-http1-get":   "HTTP/1.1 GET " + path + " json 5000",
		"connect-json-http2-get":   "HTTP/2.0 GET " + path + " json 5000",
	}
	transports := wire.Transports()
	if len(transports) != len(want) {
		t.Errorf("there are %v", transports)
	}
	for _, transport := range transports {
		t.Run(transport.String(), func(t *testing.T) {
			conn := wire.DialHTTP(server.URL, transport)
			if transport.Native {
				if conn, err = wire.DialNative(strings.TrimPrefix(server.URL, "http://")); err != nil {
					t.Fatal(err)
				}
			}
			t.Cleanup(conn.Close)
			call := conn.Open(t.Context(), wire.Spec{RPC: rpc, Get: transport.Get, Timeout: 5 * time.Second})
			_ = call.Send([]byte("{}"))
			_ = call.CloseSend()
			_, err := call.Receive()
			var failure *wire.CallError
			if failure, _ = err.(*wire.CallError); failure == nil || failure.Code != codes.Unimplemented || !failure.Unimplemented() { //nolint:errorlint // It is not wrapped.
				t.Errorf("a path that isn't there gives %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			// The native client says how long is left, which is never the same.
			got := arrived
			if transport.Native {
				got = got[:strings.LastIndexByte(got, ' ')+1]
			}
			if got != want[transport.String()] {
				t.Errorf("what arrives is %q, want %q", got, want[transport.String()])
			}
		})
	}
}
