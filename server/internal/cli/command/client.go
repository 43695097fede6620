package command

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"connectrpc.com/connect"

	"example.com/tidings/client"
	"example.com/tidings/gen/go/tidings/v1/tidingsv1connect"
	"example.com/tidings/gen/go/tidings/v1beta1/tidingsv1beta1connect"
)

const (
	ServerVariable = "TIDINGS_SERVER"
	defaultServer  = "http://127.0.0.1:7070"

	dialTimeout = 10 * time.Second
	// A connection that says nothing for this long is asked whether it is still
	// there, and given up if it doesn't answer within the next.
	pingAfter   = 20 * time.Second
	pingTimeout = 10 * time.Second
)

// Client calls a server's services.
type Client struct {
	Server        string
	Topics        tidingsv1connect.TopicServiceClient
	Publisher     tidingsv1connect.PublisherServiceClient
	Reader        tidingsv1connect.ReaderServiceClient
	Subscriptions tidingsv1connect.SubscriptionServiceClient
	DeadLetters   tidingsv1connect.DeadLetterServiceClient
	Schemas       tidingsv1connect.SchemaServiceClient
	Registry      tidingsv1beta1connect.SchemaServiceClient
	Info          tidingsv1connect.ServerServiceClient
	Events        *client.Client // Streams that reconnect.
}

// Client returns a client of the server that the flags or the environment name.
// It doesn't connect yet.
func (a *App) Client() (*Client, error) {
	server := a.server
	if server == "" {
		server = os.Getenv(ServerVariable)
	}
	if server == "" {
		server = defaultServer
	}
	u, err := url.Parse(server)
	if err != nil || u.Host == "" {
		return nil, Usagef("the server %q is not http(s)://host:port or grpc(s)://host:port", server)
	}
	authorization, transport, err := a.files.open(u)
	if err != nil {
		return nil, err
	}
	options := []connect.ClientOption{connect.WithInterceptors(deadline(a.timeout), authorization)}
	switch u.Scheme {
	case "http", "https":
	case "grpc", "grpcs":
		u.Scheme = map[string]string{"grpc": "http", "grpcs": "https"}[u.Scheme]
		options = append(options, connect.WithGRPC())
	default:
		return nil, Usagef("the server %q is not http(s)://host:port or grpc(s)://host:port", server)
	}
	base := u.String()
	return &Client{
		Server:        server,
		Topics:        tidingsv1connect.NewTopicServiceClient(transport, base, options...),
		Publisher:     tidingsv1connect.NewPublisherServiceClient(transport, base, options...),
		Reader:        tidingsv1connect.NewReaderServiceClient(transport, base, options...),
		Subscriptions: tidingsv1connect.NewSubscriptionServiceClient(transport, base, options...),
		DeadLetters:   tidingsv1connect.NewDeadLetterServiceClient(transport, base, options...),
		Schemas:       tidingsv1connect.NewSchemaServiceClient(transport, base, options...),
		Registry:      tidingsv1beta1connect.NewSchemaServiceClient(transport, base, options...),
		Info:          tidingsv1connect.NewServerServiceClient(transport, base, options...),
		Events:        client.NewConnect(transport, base, options...),
	}, nil
}

// newTransport returns an HTTP client that speaks HTTP/2, which bidirectional
// streams need: without TLS by prior knowledge.
func newTransport(secured *tls.Config) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP2(secured != nil)
	protocols.SetHTTP1(secured != nil)
	protocols.SetUnencryptedHTTP2(secured == nil)
	transport := &http.Transport{
		DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext,
		Protocols:   protocols,
		HTTP2:       &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
	}
	if secured != nil {
		transport.Proxy, transport.TLSClientConfig = http.ProxyFromEnvironment, secured
	}
	return &http.Client{Transport: transport}
}

// deadline bounds calls that answer once. 0: no bound.
func deadline(timeout time.Duration) connect.UnaryInterceptorFunc {
	return func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
			if timeout > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, timeout)
				defer cancel()
			}
			return next(ctx, request)
		}
	}
}
