// Package wire carries encoded messages to a server and back, in every way that
// the contract can be called. What is in the messages is not its business.
package wire

import "strings"

// Transport is a way to call a server.
type Transport struct {
	// Native is grpc-go on the address for gRPC. The others are connect-go on the
	// URL.
	Native bool
	// Protocol is "connect", "grpc" or "grpcweb".
	Protocol string
	JSON     bool
	HTTP2    bool
	// Get sends calls without side effects with GET.
	Get bool
}

// Transports returns all ways to call a server. gRPC is defined over HTTP/2 only,
// and GET by Connect only.
func Transports() []Transport {
	list := []Transport{{Native: true, Protocol: "grpc", HTTP2: true}}
	for _, protocol := range []string{"connect", "grpc", "grpcweb"} {
		for _, json := range []bool{false, true} {
			for _, http2 := range []bool{false, true} {
				if protocol != "grpc" || http2 {
					list = append(list, Transport{Protocol: protocol, JSON: json, HTTP2: http2})
				}
			}
		}
	}
	for _, json := range []bool{false, true} {
		for _, http2 := range []bool{false, true} {
			list = append(list, Transport{Protocol: "connect", JSON: json, HTTP2: http2, Get: true})
		}
	}
	return list
}

// String is the name: `native-binary-http2`, `connect-json-http1`,
// `connect-binary-http2-get`.
func (t Transport) String() string {
	parts := []string{t.Protocol, "binary", "http1"}
	if t.Native {
		parts[0] = "native"
	}
	if t.JSON {
		parts[1] = "json"
	}
	if t.HTTP2 {
		parts[2] = "http2"
	}
	if t.Get {
		parts = append(parts, "get")
	}
	return strings.Join(parts, "-")
}
