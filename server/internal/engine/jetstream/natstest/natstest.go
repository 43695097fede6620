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

// Server is a NATS server.
type Server struct {
	*server.Server

	options *server.Options
}

// Start starts a server, which ends with the test. change may change its options
// before.
func Start(tb testing.TB, change ...func(*server.Options)) *Server {
	tb.Helper()
	options := options(tb)
	for _, f := range change {
		f(options)
	}
	s := &Server{options: options}
	s.start(tb)
	s.waitReady(tb)
	return s
}

// Cluster starts three servers that replicate, which end with the test. change may
// change the options of each before.
func Cluster(tb testing.TB, change ...func(*server.Options)) []*Server {
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
	var members []*Server
	for i, port := range ports {
		options := options(tb)
		options.ServerName = fmt.Sprint("n", i)
		options.Cluster = server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: port}
		options.Routes = routes
		for _, f := range change {
			f(options)
		}
		member := &Server{options: options}
		member.start(tb)
		members = append(members, member)
	}
	for _, member := range members {
		member.waitReady(tb)
	}
	return members
}

// URL is the address of servers as the server of Tidings takes it, with the name
// and the password that they ask for.
func URL(members ...*Server) string {
	var urls []string
	for _, member := range members {
		address := url.URL{Scheme: "nats", Host: member.Addr().String()}
		if o := member.options; o.Username != "" {
			address.User = url.UserPassword(o.Username, o.Password)
		}
		urls = append(urls, address.String())
	}
	return strings.Join(urls, ",")
}

// End ends the server in good order. It may have ended.
func (s *Server) End() {
	s.Shutdown()
	s.WaitForShutdown()
}

// Restart starts a server that has ended again, on the same ports, with what it
// has stored.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	s.start(tb)
	s.waitReady(tb)
}

func options(tb testing.TB) *server.Options {
	return &server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: tb.TempDir(), JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: 1 << 30,
	}
}

func (s *Server) start(tb testing.TB) {
	tb.Helper()
	started, err := server.NewServer(s.options.Clone())
	if err != nil {
		tb.Fatal(err)
	}
	started.Start()
	tb.Cleanup(func() { started.Shutdown(); started.WaitForShutdown() })
	s.Server = started
}

func (s *Server) waitReady(tb testing.TB) {
	tb.Helper()
	if !s.ReadyForConnections(readyTimeout) {
		tb.Fatal("NATS is not ready")
	}
	// It is the same after a restart.
	s.options.Port = s.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // It listens for TCP.
}
