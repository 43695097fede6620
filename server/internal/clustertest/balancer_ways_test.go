package clustertest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	"example.com/tidings/client"
)

// base is where clients of Connect's protocols call; the certificate has the name.
const base = "https://localhost"

// way is a way to the replicas.
type way struct {
	conn *grpc.ClientConn
	// clients are those of the package client, by their protocols.
	clients map[string]*client.Client
	// http1 and http2 are nil without a balancer.
	http1, http2 *http.Client
}

// way returns the way through a balancer.
func (e *edge) way(t *testing.T, address string) *way {
	t.Helper()
	authority, err := os.ReadFile(filepath.Join(e.certificates, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	dial := func(ctx context.Context, _ string) (net.Conn, error) { return e.network.dial(ctx, address) }
	secured := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}
	conn := dialGRPC(t, "passthrough:///localhost", grpc.WithContextDialer(dial), grpc.WithTransportCredentials(credentials.NewTLS(secured)))
	caller := func(http2 bool) *http.Client {
		protocols := new(http.Protocols)
		protocols.SetHTTP2(http2)
		protocols.SetHTTP1(!http2)
		return &http.Client{Transport: &http.Transport{
			Protocols: protocols, TLSClientConfig: secured.Clone(),
			HTTP2:       &http.HTTP2Config{SendPingTimeout: 20 * time.Second, PingTimeout: 10 * time.Second},
			DialContext: func(ctx context.Context, _, address string) (net.Conn, error) { return dial(ctx, address) },
		}}
	}
	w := &way{conn: conn, http1: caller(false), http2: caller(true)}
	w.clients = map[string]*client.Client{
		"gRPC":     client.New(conn),
		"Connect":  client.NewConnect(w.http2, base),
		"gRPC-Web": client.NewConnect(w.http2, base, connect.WithGRPCWeb()),
	}
	t.Cleanup(w.http1.CloseIdleConnections)
	t.Cleanup(w.http2.CloseIdleConnections)
	return w
}

// direct returns the way without a balancer: gRPC knows all replicas.
func (e *edge) direct(t *testing.T) *way {
	t.Helper()
	var state resolver.State
	for _, r := range e.c.replicas {
		state.Addresses = append(state.Addresses, resolver.Address{Addr: r.host.front(grpcPort)})
	}
	replicas := manual.NewBuilderWithScheme("replicas")
	replicas.InitialState(state)
	conn := dialGRPC(t, "replicas:///tidings", grpc.WithResolvers(replicas),
		grpc.WithContextDialer(e.network.dial), grpc.WithTransportCredentials(insecure.NewCredentials()))
	return &way{conn: conn, clients: map[string]*client.Client{"gRPC": client.New(conn)}}
}

func dialGRPC(t *testing.T, target string, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(target, append(client.DialOptions(), options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
