package command

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
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
	Server        string // As --server says it.
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

// Client returns a client of the servers that the flags or the environment name.
// It doesn't connect yet.
func (a *App) Client() (*Client, error) {
	servers, err := a.servers()
	if err != nil {
		return nil, err
	}
	authorization, transport, err := a.files.open(servers)
	if err != nil {
		return nil, err
	}
	name, options := names(servers), []connect.ClientOption(nil)
	for _, u := range servers {
		if scheme, ok := map[string]string{"grpc": "http", "grpcs": "https"}[u.Scheme]; ok {
			u.Scheme, options = scheme, []connect.ClientOption{connect.WithGRPC()}
		}
	}
	if len(servers) > 1 {
		transport = newReplicas(servers, transport, options...)
	}
	options = append(options, connect.WithInterceptors(deadline(a.timeout), authorization))
	base := servers[0].String()
	return &Client{
		Server:        name,
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
