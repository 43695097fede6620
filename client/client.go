// Package client publishes, reads and consumes events of a Tidings server: what a
// service would otherwise write around the generated stubs, which remain the client
// for whoever wants them. A [Publisher] carries the events of many goroutines on one
// stream, a [Reader] reads a topic from any position, and a [Consumer] works on a
// subscription's events. All reconnect by themselves.
//
// Errors of the server are those of gRPC or Connect; [Reason], [Retryable] and
// [Violations] say what they mean by the catalogue of the contract, tidings.v1.ErrorReason.
package client

import (
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
)

// Client makes the calls of the package on a connection that the program has made,
// with the credentials, the balancing and the interceptors that it wants. It may be
// used by many goroutines.
type Client struct {
	calls calls
}

// New returns a client on a gRPC connection. Closing the connection remains the
// caller's.
func New(conn grpc.ClientConnInterface) *Client {
	return &Client{calls: newGRPC(conn)}
}

// NewConnect returns a client that speaks the Connect protocol, or another by
// connect.WithGRPC and the like. The base URL is that of the server's HTTP port, such
// as http://127.0.0.1:7070. Publisher and Consumer need an HTTP client that speaks
// HTTP/2, without TLS by prior knowledge; see [http.Protocols].
func NewConnect(httpClient connect.HTTPClient, baseURL string, options ...connect.ClientOption) *Client {
	return &Client{calls: newConnect(httpClient, strings.TrimRight(baseURL, "/"), options)}
}
