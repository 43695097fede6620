package rpc_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"example.com/tidings/gen/go/tidings/v1/tidingsv1connect"
	"example.com/tidings/gen/go/tidings/v1beta1/tidingsv1beta1connect"
)

// transport is a way to call the server.
type transport struct {
	// native is grpc-go on the native listener. The others are connect-go on
	// the HTTP listener.
	native   bool
	protocol string // "connect", "grpc" or "grpcweb".
	json     bool
	http2    bool
	// text is the text mode of gRPC-Web.
	text bool
	// get sends calls without side effects with GET.
	get bool
}

// transports are all ways to call the server or, with -short, one of each kind.
func transports() []transport {
	if testing.Short() {
		return []transport{
			{native: true, protocol: "grpc", http2: true},
			{protocol: "connect"},
			{protocol: "connect", json: true, http2: true},
			{protocol: "grpcweb", http2: true},
		}
	}
	list := []transport{{native: true, protocol: "grpc", http2: true}}
	for _, protocol := range []string{"connect", "grpc", "grpcweb"} {
		for _, json := range []bool{false, true} {
			for _, http2 := range []bool{false, true} {
				if t := (transport{protocol: protocol, json: json, http2: http2}); t.exists() {
					list = append(list, t)
				}
			}
		}
	}
	return append(list,
		transport{protocol: "grpcweb", text: true},
		transport{protocol: "grpcweb", text: true, http2: true},
		transport{protocol: "connect", get: true},
		transport{protocol: "connect", json: true, http2: true, get: true})
}

// exists reports whether there is such a transport: gRPC is defined over HTTP/2
// only.
func (t transport) exists() bool { return t.protocol != "grpc" || t.http2 }

func (t transport) String() string {
	parts := []string{t.protocol, "binary", "http1"}
	if t.native {
		parts[0] = "native"
	}
	if t.json {
		parts[1] = "json"
	}
	if t.http2 {
		parts[2] = "http2"
	}
	if t.text {
		parts = append(parts, "text")
	}
	if t.get {
		parts = append(parts, "get")
	}
	return strings.Join(parts, "-")
}

// need is what a behaviour takes that not every protocol can do.
type need struct {
	why string
	met func(transport) bool
}

var (
	// fullDuplex: responses come while requests are being sent.
	fullDuplex = need{"HTTP/1.1 has no full-duplex calls", func(t transport) bool { return t.http2 }}
	// opaquePayloads: payloads are bytes to the client.
	opaquePayloads = need{"JSON shows payloads as what they mean, so what means nothing can't be sent",
		func(t transport) bool { return !t.json }}
	// everyField: a mask stands for everything.
	everyField = need{"Go's JSON can't write the mask *", func(t transport) bool { return !t.json }}
)

// maskNeeds is what it takes to send a mask.
func maskNeeds(mask []string) []need {
	if slices.Contains(mask, "*") {
		return []need{everyField}
	}
	return nil
}

// unmet returns why a transport can't show a behaviour, or nothing.
func (t transport) unmet(needs []need) string {
	for _, n := range needs {
		if !n.met(t) {
			return n.why
		}
	}
	return ""
}

// sample are a few transports that differ in all that transports can: both
// listeners, every protocol but gRPC beside the native one, both codecs, both
// versions of HTTP.
func sample() []transport {
	return []transport{
		{native: true, protocol: "grpc", http2: true},
		{protocol: "connect", json: true},
		{protocol: "grpcweb", http2: true},
	}
}

// each makes a test of a behaviour over every transport of the shared server: of
// how a call begins, flows and ends, and of what is sent in it. Only transports
// that can't meet one of the needs are left out. What every transport has to be
// tested with is in wire_test.go.
func each(behaviour func(*testing.T, client), needs ...need) func(*testing.T) {
	return over(transports(), behaviour, needs)
}

// some makes a test of a behaviour over a sample of the transports: of what is
// decided behind them, in the same way for all.
func some(behaviour func(*testing.T, client), needs ...need) func(*testing.T) {
	return over(sample(), behaviour, needs)
}

func over(list []transport, behaviour func(*testing.T, client), needs []need) func(*testing.T) {
	return func(t *testing.T) {
		t.Parallel()
		for _, transport := range list {
			t.Run(transport.String(), func(t *testing.T) {
				if why := transport.unmet(needs); why != "" {
					t.Skip(why)
				}
				t.Parallel()
				behaviour(t, transport.dial(t, shared))
			})
		}
	}
}

// dial connects to a server.
func (t transport) dial(tb testing.TB, s *server) client { return t.dialWith(tb, s, "") }

// dialWith connects to a server with a value of the Authorization header.
func (t transport) dialWith(tb testing.TB, s *server, credential string) client {
	if t.native {
		return newGRPCClient(dialGRPC(tb, s.grpcAddr, grpc.WithPerRPCCredentials(header{credential}),
			grpc.WithUnaryInterceptor(wire.unary(t)), grpc.WithStreamInterceptor(wire.stream(t))))
	}
	httpClient, url, options := t.httpClient(tb), "http://"+s.httpAddr, connect.WithClientOptions(t.options(), connect.WithInterceptors(withHeader{credential}))
	return &connectClient{
		tidingsv1connect.NewTopicServiceClient(httpClient, url, options),
		tidingsv1connect.NewPublisherServiceClient(httpClient, url, options),
		tidingsv1connect.NewReaderServiceClient(httpClient, url, options),
		tidingsv1connect.NewSubscriptionServiceClient(httpClient, url, options),
		tidingsv1connect.NewConsumerServiceClient(httpClient, url, options),
		tidingsv1connect.NewDeadLetterServiceClient(httpClient, url, options),
		tidingsv1connect.NewSchemaServiceClient(httpClient, url, options),
		tidingsv1beta1connect.NewSchemaServiceClient(httpClient, url, options),
		tidingsv1connect.NewServerServiceClient(httpClient, url, options),
	}
}

func (t transport) httpClient(tb testing.TB) *http.Client {
	c := newHTTPClient(tb, t.http2)
	if t.text {
		c.Transport = webText{c.Transport}
	}
	return c
}

func (t transport) options() connect.ClientOption {
	options := []connect.ClientOption{connect.WithInterceptors(connectWire{t})}
	switch t.protocol {
	case "grpc":
		options = append(options, connect.WithGRPC())
	case "grpcweb":
		options = append(options, connect.WithGRPCWeb())
	}
	if t.json {
		options = append(options, connect.WithProtoJSON())
	}
	if t.get {
		options = append(options, connect.WithHTTPGet())
	}
	return connect.WithClientOptions(options...)
}

func dialGRPC(tb testing.TB, addr string, options ...grpc.DialOption) *grpc.ClientConn {
	tb.Helper()
	options = append(options, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithChainUnaryInterceptor(heard.unary), grpc.WithChainStreamInterceptor(heard.stream))
	conn, err := grpc.NewClient("passthrough:///"+addr, options...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

// newHTTPClient returns a client that speaks one version of HTTP only.
func newHTTPClient(tb testing.TB, http2 bool) *http.Client {
	tb.Helper()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetUnencryptedHTTP2(http2)
	dialer := new(net.Dialer)
	roundTripper := &http.Transport{
		Protocols: protocols,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if !strings.HasPrefix(addr, "127.0.0.1:") {
				return nil, errors.New("not a server of this test")
			}
			return dialer.DialContext(ctx, network, addr)
		},
	}
	tb.Cleanup(roundTripper.CloseIdleConnections)
	return &http.Client{Transport: roundTripper}
}
