package cli

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"connectrpc.com/connect"

	"example.com/tidings/gen/go/tidings/v1/tidingsv1connect"
	"example.com/tidings/gen/go/tidings/v1beta1/tidingsv1beta1connect"
)

const (
	serverVariable = "TIDINGS_SERVER"
	defaultServer  = "http://127.0.0.1:7070"

	dialTimeout = 10 * time.Second
	// A connection that says nothing for this long is asked whether it is still
	// there, and given up if it doesn't answer within the next.
	pingAfter   = 20 * time.Second
	pingTimeout = 10 * time.Second
)

// client calls a server's services.
type client struct {
	server        string
	topics        tidingsv1connect.TopicServiceClient
	publisher     tidingsv1connect.PublisherServiceClient
	reader        tidingsv1connect.ReaderServiceClient
	subscriptions tidingsv1connect.SubscriptionServiceClient
	consumer      tidingsv1connect.ConsumerServiceClient
	deadLetters   tidingsv1connect.DeadLetterServiceClient
	schemas       tidingsv1connect.SchemaServiceClient
	registry      tidingsv1beta1connect.SchemaServiceClient
	info          tidingsv1connect.ServerServiceClient
}

// client returns a client of the server that the flags or the environment name.
// It doesn't connect yet.
func (a *app) client() (*client, error) {
	server := a.server
	if server == "" {
		server = os.Getenv(serverVariable)
	}
	if server == "" {
		server = defaultServer
	}
	u, err := url.Parse(server)
	if err != nil || u.Host == "" {
		return nil, usagef("the server %q is not http(s)://host:port or grpc(s)://host:port", server)
	}
	options := []connect.ClientOption{connect.WithInterceptors(deadline(a.timeout))}
	switch u.Scheme {
	case "http", "https":
	case "grpc", "grpcs":
		u.Scheme = map[string]string{"grpc": "http", "grpcs": "https"}[u.Scheme]
		options = append(options, connect.WithGRPC())
	default:
		return nil, usagef("the server %q is not http(s)://host:port or grpc(s)://host:port", server)
	}
	transport, base := newTransport(u.Scheme == "https"), u.String()
	return &client{
		server:        server,
		topics:        tidingsv1connect.NewTopicServiceClient(transport, base, options...),
		publisher:     tidingsv1connect.NewPublisherServiceClient(transport, base, options...),
		reader:        tidingsv1connect.NewReaderServiceClient(transport, base, options...),
		subscriptions: tidingsv1connect.NewSubscriptionServiceClient(transport, base, options...),
		consumer:      tidingsv1connect.NewConsumerServiceClient(transport, base, options...),
		deadLetters:   tidingsv1connect.NewDeadLetterServiceClient(transport, base, options...),
		schemas:       tidingsv1connect.NewSchemaServiceClient(transport, base, options...),
		registry:      tidingsv1beta1connect.NewSchemaServiceClient(transport, base, options...),
		info:          tidingsv1connect.NewServerServiceClient(transport, base, options...),
	}, nil
}

// newTransport returns an HTTP client that speaks HTTP/2, which bidirectional
// streams need: without TLS by prior knowledge.
func newTransport(tls bool) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP2(tls)
	protocols.SetHTTP1(tls)
	protocols.SetUnencryptedHTTP2(!tls)
	transport := &http.Transport{
		DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext,
		Protocols:   protocols,
		HTTP2:       &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
	}
	if tls {
		transport.Proxy = http.ProxyFromEnvironment
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
