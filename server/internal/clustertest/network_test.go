package clustertest

import (
	"context"
	"net"
	"os/exec"
	"testing"
)

// The ports of a host that has addresses of its own.
const (
	natsPort    = "4222"
	routePort   = "6222"
	monitorPort = "8222"
	httpPort    = "7070"
	grpcPort    = "7071"
)

// A network has the hosts that the processes of the cluster run on. There are
// two implementations: with a network namespace for each host, whose links can
// be cut, and one on which every host is this machine's loopback.
type network interface {
	// host adds a host, with a link to the clients if front, and one to NATS.
	host(name string, front bool) host
	// dial connects to an address of a host, as a client does.
	dial(ctx context.Context, address string) (net.Conn, error)
	// cuts reports whether links can be cut.
	cuts() bool
}

// A host is where a process runs.
type host interface {
	// front and back are the addresses for a port on the links to the clients and
	// to NATS.
	front(port string) string
	back(port string) string
	// start starts a command there. It is killed when this process ends.
	start(cmd *exec.Cmd) error
	// cut makes whatever is sent over the link to NATS vanish, in both
	// directions; heal ends that.
	cut()
	heal()
}

// loopback is a network without links.
type loopback struct{ t *testing.T }

func (l loopback) host(string, bool) host {
	return &loopbackHost{t: l.t, ports: make(map[string]string)}
}

func (l loopback) dial(ctx context.Context, address string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", address)
}

func (l loopback) cuts() bool { return false }

// loopbackHost gives out free ports. Each stays the same, so that others find a
// process that was started again.
type loopbackHost struct {
	t     *testing.T
	ports map[string]string
}

func (h *loopbackHost) front(port string) string { return h.address(port) }
func (h *loopbackHost) back(port string) string  { return h.address(port) }

func (h *loopbackHost) address(port string) string {
	h.t.Helper()
	if known := h.ports[port]; known != "" {
		return known
	}
	var config net.ListenConfig
	listener, err := config.Listen(h.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		h.t.Fatal(err)
	}
	h.ports[port] = listener.Addr().String()
	if err := listener.Close(); err != nil {
		h.t.Fatal(err)
	}
	return h.ports[port]
}

func (h *loopbackHost) start(cmd *exec.Cmd) error { return cmd.Start() }
func (h *loopbackHost) cut()                      { h.t.Fatal("there is no link") }
func (h *loopbackHost) heal()                     { h.t.Fatal("there is no link") }
