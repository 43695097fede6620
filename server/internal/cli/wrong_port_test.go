package cli

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"example.com/tidings/server/internal/cli/command"
)

// Where something else answers than the server, the command says what it may be.
func TestWrongPort(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	native := grpc.NewServer()
	go native.Serve(listener) //nolint:errcheck // It is stopped below.
	defer native.Stop()
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	at := strings.TrimPrefix(other.URL, "http://")
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"the port for gRPC":              {[]string{"topic", "list", "--server", "http://" + listener.Addr().String()}, "say grpc:// and not http://"},
		"the port for gRPC, in a stream": {[]string{"read", "orders", "--server", "http://" + listener.Addr().String()}, "say grpc:// and not http://"},
		"a server of HTTP/1.1":           {[]string{"topic", "list", "--server", "http://" + at}, "speaks no HTTP/2"},
		"the same with gRPC":             {[]string{"topic", "list", "--server", "grpc://" + at}, "speaks no HTTP/2"},
		"no TLS":                         {[]string{"topic", "list", "--server", "https://" + at}, "there is no TLS: say http://"},
		"no TLS with gRPC":               {[]string{"topic", "list", "--server", "grpcs://" + at}, "there is no TLS: say http://"},
	} {
		t.Run(name, func(t *testing.T) {
			var stderr bytes.Buffer
			status := Main(t.Context(), test.args, command.Program{Stdin: strings.NewReader(""), Stdout: new(bytes.Buffer), Stderr: &stderr})
			if status != command.StatusFailed || !strings.Contains(stderr.String(), test.want) || strings.Contains(stderr.String(), "is the server running") {
				t.Errorf("%d: %s", status, &stderr)
			}
		})
	}
}
