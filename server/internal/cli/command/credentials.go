package command

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"connectrpc.com/connect"
	"github.com/spf13/pflag"

	"example.com/tidings/server/internal/secure"
)

// credentials are the files with which a client shows who it is, and by which it
// knows the server. Each can also be an environment variable.
type credentials struct {
	tokenFile, caFile, clientCert, clientKey string
}

// The environment variables of credentials.
const (
	tokenFileVariable  = "TIDINGS_TOKEN_FILE"
	caFileVariable     = "TIDINGS_CA_FILE"
	clientCertVariable = "TIDINGS_CLIENT_CERT"
	clientKeyVariable  = "TIDINGS_CLIENT_KEY"
)

func (c *credentials) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&c.tokenFile, "token-file", "", "`FILE` with an API key or a token, which others can't read (environment: "+tokenFileVariable+")")
	flags.StringVar(&c.caFile, "ca-file", "", "`FILE` in PEM with the authorities to trust in, instead of the system's (environment: "+caFileVariable+")")
	flags.StringVar(&c.clientCert, "client-cert", "", "`FILE` in PEM with a client certificate (environment: "+clientCertVariable+")")
	flags.StringVar(&c.clientKey, "client-key", "", "`FILE` in PEM with the key of --client-cert (environment: "+clientKeyVariable+")")
}

// open returns what adds the credential to each call of the servers, and an HTTP client
// for them.
func (c *credentials) open(servers []*url.URL) (connect.Interceptor, *http.Client, error) {
	secured := servers[0].Scheme == "https" || servers[0].Scheme == "grpcs"
	for variable, file := range map[string]*string{
		tokenFileVariable: &c.tokenFile, caFileVariable: &c.caFile,
		clientCertVariable: &c.clientCert, clientKeyVariable: &c.clientKey,
	} {
		*file = cmp.Or(*file, os.Getenv(variable))
	}
	authorization := authorization{c.tokenFile}
	if c.tokenFile != "" {
		for _, server := range servers {
			if !secured && !secure.IsLoopback(server.Hostname()) {
				return nil, nil, Usagef("--token-file: without TLS the token could be read in transit to %s: say https:// or grpcs:// in --server", server.Host)
			}
		}
		if _, err := authorization.header(); err != nil { // Before anything is called.
			return nil, nil, err
		}
	}
	if !secured {
		return authorization, newTransport(nil), nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.caFile != "" {
		pool, err := secure.CertPool(c.caFile)
		if err != nil {
			return nil, nil, fmt.Errorf("--ca-file: %w", err)
		}
		config.RootCAs = pool
	}
	if (c.clientCert == "") != (c.clientKey == "") {
		return nil, nil, Usagef("--client-cert and --client-key are of no use without each other")
	}
	if c.clientCert != "" {
		certificate, err := tls.LoadX509KeyPair(c.clientCert, c.clientKey)
		if err != nil {
			return nil, nil, fmt.Errorf("--client-cert, --client-key: %w", err)
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	return authorization, newTransport(config), nil
}

// withoutCredentials returns an environment without what says who calls.
func withoutCredentials(environment []string) []string {
	return slices.DeleteFunc(environment, func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return name == tokenFileVariable || name == clientCertVariable || name == clientKeyVariable
	})
}

// Environment is what `tidings` gives to the commands that it runs: its own, without
// what says who calls, and with the server.
func (c *Client) Environment() []string {
	return append(withoutCredentials(os.Environ()), ServerVariable+"="+c.Server)
}

// authorization adds a token to each call. It is read from its file each time, since
// tokens that a platform gives out are replaced there before they end.
type authorization struct{ path string }

// maxTokenFile bounds what is read of the file.
const maxTokenFile = 64 << 10

// header returns the value of the header. Empty: there is no token.
func (a authorization) header() (string, error) {
	if a.path == "" {
		return "", nil
	}
	info, err := os.Stat(a.path)
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("--token-file: others than its owner may use %s: chmod 600 %s", a.path, a.path)
	}
	if info.Size() > maxTokenFile {
		return "", fmt.Errorf("--token-file: %s has %d bytes, which no token has", a.path, info.Size())
	}
	data, err := os.ReadFile(a.path)
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	token := bytes.TrimSpace(data)
	if len(token) == 0 || bytes.ContainsAny(token, " \t\r\n") {
		return "", fmt.Errorf("--token-file: %s isn't one token", a.path)
	}
	return "Bearer " + string(token), nil
}

func (a authorization) set(header http.Header) error {
	value, err := a.header()
	if err == nil && value != "" {
		header.Set("Authorization", value)
	}
	return err
}

func (a authorization) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		if err := a.set(request.Header()); err != nil {
			return nil, err
		}
		return next(ctx, request)
	}
}

func (a authorization) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, spec connect.Spec) connect.StreamingClientConn {
		conn := next(ctx, spec)
		_ = a.set(conn.RequestHeader()) // It was read before; without it the server says what is missing.
		return conn
	}
}

func (a authorization) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}
