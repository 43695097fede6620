package rpc_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/tidings/server/internal/rpc"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// newHandlerServer serves the handler of HTTP alone, on what the shared server
// is made of.
func newHandlerServer(t *testing.T, change func(*rpc.Config)) *httptest.Server {
	t.Helper()
	config := rpc.Config{
		MaxConnectionCalls: 250, MaxHeaderBytes: 64 << 10,
		Service: shared.service, Health: shared.health, MaxRequestBytes: testRequestBytes,
		ReceiveTimeout: testReceiveTimeout, Log: slog.New(slog.DiscardHandler),
	}
	change(&config)
	s := httptest.NewUnstartedServer(nil)
	s.Config = rpc.NewHTTPServer(config)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// late matches DEADLINE_EXCEEDED as the protocols write it.
var late = regexp.MustCompile(`"code":"deadline_exceeded"|(?i)grpc-status:[ \[]*4`)

// A request whose body never ends gets an answer all the same.
func TestBodyThatNeverComes(t *testing.T) {
	t.Parallel()
	s := newHandlerServer(t, func(c *rpc.Config) { c.ReceiveTimeout = 10 * time.Millisecond })
	whole := append(binary.BigEndian.AppendUint32([]byte{0}, 2), "{}"...)
	for _, test := range []struct {
		path, contentType string
		begin             []byte // Of its body.
	}{
		{publishPath, "application/json", nil},
		{publishPath, "application/proto", []byte("x")},
		{publishPath, "application/grpc-web+proto", []byte("\x00")},
		{publishPath, "application/grpc-web+json", whole[:6]},
		{publishPath, "application/grpc+json", whole}, // One that is there, and might be followed by another.
		{"/tidings.v1.ReaderService/Read", "application/connect+json", whole[:6]},
		{"/grpc.health.v1.Health/Check", "application/json", []byte("{")},
		{"/grpc.health.v1.Health/Watch", "application/grpc", []byte("\x00\x00")},
	} {
		for _, http2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s %s http2=%t", test.path, test.contentType, http2), func(t *testing.T) {
				t.Parallel()
				body, more := io.Pipe()
				request, err := http.NewRequestWithContext(testContext(t), http.MethodPost, s.URL+test.path, io.MultiReader(bytes.NewReader(test.begin), body))
				if err != nil {
					t.Fatal(err)
				}
				request.Header.Set("Content-Type", test.contentType)
				response, err := newHTTPClient(t, http2).Do(request)
				if err != nil {
					t.Fatal(err)
				}
				defer response.Body.Close() //nolint:errcheck // The body was read.
				answer, err := io.ReadAll(response.Body)
				_ = more.Close() // Until then the client doesn't let go of the call.
				if text := fmt.Sprintf("%v %s %v", response.Header, answer, response.Trailer); err != nil || !late.MatchString(text) {
					t.Errorf("it is answered with %s, %v", text, err)
				}
			})
		}
	}
}

// Nor does a body hold its connection that nobody asks for.
func TestBodyThatIsNotRead(t *testing.T) {
	t.Parallel()
	s := newHandlerServer(t, func(c *rpc.Config) { c.ReceiveTimeout = 10 * time.Millisecond })
	for _, begin := range []string{
		"POST /nothing", "GET /healthz", "GET /", "POST " + publishPath, "PUT " + publishPath, "GET " + listPath, "POST " + importPath,
		"POST /tidings.v1.ConsumerService/Consume", "POST /grpc.health.v1.Health/Check",
	} {
		for _, length := range []string{"Content-Length: 10", "Transfer-Encoding: chunked"} {
			t.Run(begin+" "+length, func(t *testing.T) {
				t.Parallel()
				conn, err := new(net.Dialer).DialContext(testContext(t), "tcp", s.Listener.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close() //nolint:errcheck // All was read.
				if _, err := fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n%s\r\n\r\n", begin, length); err != nil {
					t.Fatal(err)
				}
				answer, err := io.ReadAll(conn) // Until the server closes it.
				if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 ")) {
					t.Errorf("it is answered with %q, %v", answer, err)
				}
			})
		}
	}
}

func TestRequestThatNeverComes(t *testing.T) {
	t.Parallel()
	conn := dialWithin(t, 10*time.Millisecond)
	for _, method := range []string{publishPath, "/tidings.v1.ReaderService/Read", "/grpc.health.v1.Health/Check"} {
		stream, err := conn.NewStream(testContext(t), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.RecvMsg(new(tidingsv1.PublishResponse)); status.Code(err) != codes.Canceled {
			t.Errorf("%s: %v", method, err)
		}
	}
	// What came isn't cancelled.
	conn = dialWithin(t, 2*time.Second)
	stream, err := newGRPCClient(conn).read(testContext(t), &tidingsv1.ReadRequest{
		Topic: newTopic(t, newGRPCClient(conn)), HeartbeatInterval: durationpb.New(time.Second),
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // More than the timeout.
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
	}
}

// dialWithin returns a connection to a native server of its own, to which a request
// has to come within a time.
func dialWithin(t *testing.T, timeout time.Duration) *grpc.ClientConn {
	t.Helper()
	server := rpc.NewGRPCServer(rpc.Config{
		MaxConnectionCalls: 250, MaxHeaderBytes: 64 << 10,
		Service: shared.service, Health: shared.health, MaxRequestBytes: testRequestBytes,
		ReceiveTimeout: timeout, Log: slog.New(slog.DiscardHandler),
	})
	var ended sync.WaitGroup
	addr, err := listen(t.Context(), &ended, server.Serve)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Stop(); ended.Wait() })
	return dialGRPC(t, addr)
}
