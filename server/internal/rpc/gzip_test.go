package rpc_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"example.com/tidings/gen/go/tidings/v1/tidingsv1connect"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// Every transport takes requests in gzip.
func TestGzip(t *testing.T) {
	t.Parallel()
	validate := make(map[string]func(*tidingsv1.ValidateEventsRequest) (*tidingsv1.ValidateEventsResponse, error))
	for _, transport := range transports() {
		if transport.get {
			continue // There is no body.
		}
		if transport.native {
			native := tidingsv1.NewSchemaServiceClient(dialGRPC(t, shared.grpcAddr))
			validate[transport.String()] = func(r *tidingsv1.ValidateEventsRequest) (*tidingsv1.ValidateEventsResponse, error) {
				return native.ValidateEvents(testContext(t), r, grpc.UseCompressor("gzip"))
			}
			continue
		}
		c := tidingsv1connect.NewSchemaServiceClient(transport.httpClient(t), "http://"+shared.httpAddr, transport.options(), connect.WithSendGzip())
		validate[transport.String()] = func(r *tidingsv1.ValidateEventsRequest) (*tidingsv1.ValidateEventsResponse, error) {
			return c.ValidateEvents(testContext(t), r)
		}
	}
	request := new(tidingsv1.ValidateEventsRequest)
	for i := range 100 {
		request.Events = append(request.Events, bulky(t, fmt.Sprint(i), 4<<10))
	}
	for name, validate := range validate {
		if _, err := validate(request); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// bomb is a small gzip of a large message.
func bomb(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(make([]byte, 64<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// send makes a call over HTTP/2 and returns all that is answered.
func send(t *testing.T, path string, header http.Header, body []byte) string {
	t.Helper()
	request, err := http.NewRequestWithContext(testContext(t), http.MethodPost, "http://"+shared.httpAddr+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = header
	response, err := newHTTPClient(t, true).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // The body was read.
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%v %s %v", response.Header, answer, response.Trailer)
}

// exhausted matches RESOURCE_EXHAUSTED as the protocols write it.
var exhausted = regexp.MustCompile(`"code":"resource_exhausted"|(?i)grpc-status:[ \[]*8`)

func TestGzipBombs(t *testing.T) {
	t.Parallel()
	small := bomb(t)
	enveloped := append(binary.BigEndian.AppendUint32([]byte{1}, uint32(len(small))), small...)
	const (
		health     = "/grpc.health.v1.Health/Check"
		reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
	)
	for _, test := range []struct {
		path, contentType, header string
		body                      []byte
	}{
		{publishPath, "application/json", "Content-Encoding", small},
		{publishPath, "application/proto", "Content-Encoding", small},
		{publishPath, "application/grpc-web+proto", "Grpc-Encoding", enveloped},
		{publishPath, "application/grpc", "Grpc-Encoding", enveloped},
		{listPath, "application/json", "Content-Encoding", small},
		{importPath, "application/connect+json", "Connect-Content-Encoding", enveloped},
		{importPath, "application/grpc", "Grpc-Encoding", enveloped},
		{health, "application/json", "Content-Encoding", small},
		{health, "application/grpc", "Grpc-Encoding", enveloped},
		{reflection, "application/grpc", "Grpc-Encoding", enveloped},
		{reflection, "application/connect+proto", "Connect-Content-Encoding", enveloped},
	} {
		t.Run(test.path+" "+test.contentType, func(t *testing.T) {
			t.Parallel()
			header := http.Header{"Content-Type": {test.contentType}, test.header: {"gzip"}}
			if answer := send(t, test.path, header, test.body); !exhausted.MatchString(answer) {
				t.Errorf("the answer is %s", answer)
			}
		})
	}
	for _, path := range []string{publishPath, health} {
		t.Run("native "+path, func(t *testing.T) {
			t.Parallel()
			conn := dialGRPC(t, shared.grpcAddr)
			err := conn.Invoke(testContext(t), path, make([]byte, 8*testRequestBytes), new(tidingsv1.PublishResponse), grpc.ForceCodecV2(rawCodec{}), grpc.UseCompressor("gzip"))
			wantRefusal(t, err, because(codes.ResourceExhausted, ""))
		})
	}
	stillServes(t)
}
