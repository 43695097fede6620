package wire

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"
)

// DialHTTP returns a server at a URL, called with connect-go over a transport
// that isn't native.
func DialHTTP(url string, transport Transport) Conn {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!transport.HTTP2)
	protocols.SetHTTP2(transport.HTTP2)
	protocols.SetUnencryptedHTTP2(transport.HTTP2)
	roundTripper := &http.Transport{Protocols: protocols}
	return &httpConn{strings.TrimSuffix(url, "/"), transport, roundTripper}
}

type httpConn struct {
	url          string
	transport    Transport
	roundTripper *http.Transport
}

func (c *httpConn) Close() { c.roundTripper.CloseIdleConnections() }

func (c *httpConn) Open(ctx context.Context, spec Spec) Call {
	options := []connect.ClientOption{
		connect.WithCodec(codec{"proto"}),
		connect.WithReadMaxBytes(maxMessageBytes),
	}
	if c.transport.JSON {
		options[0] = connect.WithCodec(codec{"json"})
	}
	header := http.Header{}
	switch c.transport.Protocol {
	case "grpc":
		options = append(options, connect.WithGRPC())
	case "grpcweb":
		options = append(options, connect.WithGRPCWeb())
	}
	if spec.Timeout > 0 {
		name, value := timeoutHeader(c.transport.Protocol, spec.Timeout)
		header.Set(name, value)
	}
	if spec.Get {
		options = append(options, connect.WithHTTPGet(), connect.WithIdempotency(connect.IdempotencyNoSideEffects))
	}
	client := connect.NewClient[message, message](&http.Client{Transport: c.roundTripper}, c.url+procedure(spec.RPC), options...)
	switch {
	case spec.RPC.IsStreamingClient() && spec.RPC.IsStreamingServer():
		stream := client.CallBidiStream(ctx)
		maps.Copy(stream.RequestHeader(), header)
		return bidiCall{stream}
	case spec.RPC.IsStreamingClient():
		stream := client.CallClientStream(ctx)
		maps.Copy(stream.RequestHeader(), header)
		return &clientStreamCall{stream: stream}
	case spec.RPC.IsStreamingServer():
		return &oneRequestCall{answer: make(chan receiver, 1), begin: func(request *message) receiver {
			stream, err := client.CallServerStream(ctx, withHeader(request, header))
			if err != nil {
				return failed(err)
			}
			return func() ([]byte, error) {
				if stream.Receive() {
					return stream.Msg().data, nil
				}
				if err := stream.Err(); err != nil {
					return nil, failure(err)
				}
				return nil, io.EOF
			}
		}}
	default:
		return &oneRequestCall{answer: make(chan receiver, 1), begin: func(request *message) receiver {
			response, err := client.CallUnary(ctx, withHeader(request, header))
			if err != nil {
				return failed(err)
			}
			received := false
			return func() ([]byte, error) {
				if received {
					return nil, io.EOF
				}
				received = true
				return response.Msg.data, nil
			}
		}}
	}
}

// timeoutHeader is how a protocol tells the server a deadline.
func timeoutHeader(protocol string, timeout time.Duration) (name, value string) {
	milliseconds := strconv.FormatInt(timeout.Milliseconds(), 10)
	if protocol == "connect" {
		return "Connect-Timeout-Ms", milliseconds
	}
	return "Grpc-Timeout", fmt.Sprintf("%sm", milliseconds)
}

func withHeader(request *message, header http.Header) *connect.Request[message] {
	result := connect.NewRequest(request)
	maps.Copy(result.Header(), header)
	return result
}

// receiver receives the next message.
type receiver func() ([]byte, error)

func failed(err error) receiver {
	return func() ([]byte, error) { return nil, failure(err) }
}

// oneRequestCall is a call with one request, which is sent when the sending side
// closes. It is under way from then on, whether somebody receives or not.
type oneRequestCall struct {
	begin   func(*message) receiver
	request message
	answer  chan receiver
	receive receiver
}

func (c *oneRequestCall) Send(data []byte) error {
	c.request.data = data
	return nil
}

func (c *oneRequestCall) CloseSend() error {
	go func() { c.answer <- c.begin(&c.request) }()
	return nil
}

func (c *oneRequestCall) Receive() ([]byte, error) {
	if c.receive == nil {
		c.receive = <-c.answer
	}
	return c.receive()
}

type clientStreamCall struct {
	stream   *connect.ClientStreamForClient[message, message]
	received bool
}

func (c *clientStreamCall) Send(data []byte) error { return c.stream.Send(&message{data}) }

// CloseSend does nothing: the stream is closed when its response is received.
func (c *clientStreamCall) CloseSend() error { return nil }

func (c *clientStreamCall) Receive() ([]byte, error) {
	if c.received {
		return nil, io.EOF
	}
	c.received = true
	response, err := c.stream.CloseAndReceive()
	if err != nil {
		return nil, failure(err)
	}
	return response.Msg.data, nil
}

type bidiCall struct {
	*connect.BidiStreamForClient[message, message]
}

func (c bidiCall) Send(data []byte) error { return c.BidiStreamForClient.Send(&message{data}) }
func (c bidiCall) CloseSend() error       { return c.CloseRequest() }

func (c bidiCall) Receive() ([]byte, error) {
	received, err := c.BidiStreamForClient.Receive()
	if err != nil {
		return nil, failure(err)
	}
	return received.data, nil
}
