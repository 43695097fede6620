// Package natstest starts NATS servers with JetStream for tests, in their process,
// on free ports of the loopback interface.
package natstest

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// readyTimeout is the time in which a server has to take connections.
const readyTimeout = 20 * time.Second

// Start starts a server, which ends with the test. change may change its options
// before.
func Start(tb testing.TB, change ...func(*server.Options)) *server.Server {
	tb.Helper()
	options := options(tb)
	for _, f := range change {
		f(options)
	}
	member := start(tb, options)
	if !member.ReadyForConnections(readyTimeout) {
		tb.Fatal("NATS is not ready")
	}
	return member
}

// Cluster starts three servers that replicate, which end with the test. change may
// change the options of each before.
func Cluster(tb testing.TB, change ...func(*server.Options)) []*server.Server {
	tb.Helper()
	// Each has to know the routes to all before it starts, so the ports are
	// chosen first.
	const size = 3
	var ports [size]int
	var routes []*url.URL
	for i := range ports {
		var config net.ListenConfig
		listener, err := config.Listen(tb.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			tb.Fatal(err)
		}
		ports[i] = listener.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // It is that of a TCP listener.
		routes = append(routes, &url.URL{Scheme: "nats", Host: listener.Addr().String()})
		if err := listener.Close(); err != nil {
			tb.Fatal(err)
		}
	}
	var members []*server.Server
	for i, port := range ports {
		options := options(tb)
		options.ServerName = fmt.Sprint("n", i)
		options.Cluster = server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: port}
		options.Routes = routes
		for _, f := range change {
			f(options)
		}
		members = append(members, start(tb, options))
	}
	for _, member := range members {
		if !member.ReadyForConnections(readyTimeout) {
			tb.Fatal("NATS is not ready")
		}
	}
	return members
}

// URL is the address of servers as the server of Tidings takes it.
func URL(members ...*server.Server) string {
	var urls []string
	for _, member := range members {
		urls = append(urls, member.ClientURL())
	}
	return strings.Join(urls, ",")
}

// End ends a server in good order. It may have ended.
func End(member *server.Server) {
	member.Shutdown()
	member.WaitForShutdown()
}

func options(tb testing.TB) *server.Options {
	return &server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: tb.TempDir(), JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: 1 << 30,
	}
}

func start(tb testing.TB, options *server.Options) *server.Server {
	tb.Helper()
	member, err := server.NewServer(options)
	if err != nil {
		tb.Fatal(err)
	}
	member.Start()
	tb.Cleanup(func() { End(member) })
	return member
}
