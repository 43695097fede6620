package clustertest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// namespaces is a network of hosts that have network namespaces of their own,
// linked by bridges in one more. Nothing of it has a name or is seen outside: it
// is gone once this process and those in it are.
type namespaces struct {
	t        *testing.T
	spawner  *spawner
	switches *os.File // The namespace of the bridges.
	clients  *os.File
	hosts    int
}

// The bridges, and the networks that they make.
const (
	frontBridge  = "front"
	frontNetwork = "10.90.1."
	backBridge   = "back"
	backNetwork  = "10.90.2."
)

// newNetwork returns a network with links where this process may make one, and
// one without where it may not.
func newNetwork(t *testing.T) network {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil {
		t.Logf("no links are cut: %v", err)
		return loopback{t}
	}
	switches, err := newNamespace()
	if err != nil {
		t.Logf("no links are cut: %v", err)
		return loopback{t}
	}
	n := &namespaces{t: t, spawner: newSpawner(), switches: switches}
	t.Cleanup(n.spawner.close)
	t.Cleanup(func() { _ = switches.Close() })
	for _, bridge := range []string{frontBridge, backBridge} {
		n.ip(switches, "link", "add", bridge, "type", "bridge", "forward_delay", "0")
		n.ip(switches, "link", "set", bridge, "up")
	}
	n.clients = n.host("clients", true).(*namespaceHost).namespace
	return n
}

// newNamespace makes a network namespace, which is there until the file is
// closed and no process is in it.
func newNamespace() (*os.File, error) {
	type result struct {
		file *os.File
		err  error
	}
	made := make(chan result)
	go func() {
		runtime.LockOSThread() // For ever: the thread ends with the goroutine.
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err != nil {
			made <- result{err: fmt.Errorf("making a network namespace: %w", err)}
			return
		}
		file, err := os.Open("/proc/thread-self/ns/net")
		made <- result{file, err}
	}()
	r := <-made
	return r.file, r.err
}

// within calls f in a network namespace. What f connects and starts stays there.
func within(namespace *os.File, f func() error) error {
	runtime.LockOSThread()
	before, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer func() { _ = before.Close() }()
	if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return err
	}
	err = f()
	if back := unix.Setns(int(before.Fd()), unix.CLONE_NEWNET); back != nil {
		return errors.Join(err, back) // The thread stays locked: nobody else gets it.
	}
	runtime.UnlockOSThread()
	return err
}

// ip runs the command of this name in a namespace.
func (n *namespaces) ip(namespace *os.File, arguments ...string) {
	n.t.Helper()
	err := within(namespace, func() error {
		output, err := exec.CommandContext(context.Background(), "ip", arguments...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ip %q: %w: %s", arguments, err, output)
		}
		return nil
	})
	if err != nil {
		n.t.Fatal(err)
	}
}

func (n *namespaces) dial(ctx context.Context, address string) (conn net.Conn, err error) {
	err = within(n.clients, func() error {
		conn, err = new(net.Dialer).DialContext(ctx, "tcp", address)
		return err
	})
	return conn, err
}

func (n *namespaces) cuts() bool { return true }

func (n *namespaces) host(_ string, front bool) host {
	n.t.Helper()
	namespace, err := newNamespace()
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = namespace.Close() })
	n.hosts++
	h := &namespaceHost{network: n, namespace: namespace, number: n.hosts}
	n.ip(namespace, "link", "set", "lo", "up")
	h.link(backBridge, backNetwork)
	if front {
		h.link(frontBridge, frontNetwork)
	}
	return h
}

// namespaceHost is a host with a namespace.
type namespaceHost struct {
	network   *namespaces
	namespace *os.File
	number    int
}

// link links the host to a bridge.
func (h *namespaceHost) link(bridge, network string) {
	n := h.network
	n.t.Helper()
	n.ip(h.namespace, "link", "add", bridge, "type", "veth", "peer", "name", h.port(bridge),
		"netns", fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.switches.Fd()))
	n.ip(h.namespace, "address", "add", fmt.Sprint(network, h.number, "/24"), "dev", bridge)
	n.ip(h.namespace, "link", "set", bridge, "up")
	n.ip(n.switches, "link", "set", h.port(bridge), "master", bridge, "up")
}

// port is the name of the other end of the link to a bridge.
func (h *namespaceHost) port(bridge string) string { return fmt.Sprint(bridge, h.number) }

func (h *namespaceHost) front(port string) string {
	return net.JoinHostPort(fmt.Sprint(frontNetwork, h.number), port)
}

func (h *namespaceHost) back(port string) string {
	return net.JoinHostPort(fmt.Sprint(backNetwork, h.number), port)
}

func (h *namespaceHost) start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return h.network.spawner.do(func() error { return within(h.namespace, cmd.Start) })
}

func (h *namespaceHost) cut() {
	h.network.t.Helper()
	h.network.ip(h.network.switches, "link", "set", h.port(backBridge), "nomaster")
}

func (h *namespaceHost) heal() {
	h.network.t.Helper()
	h.network.ip(h.network.switches, "link", "set", h.port(backBridge), "master", backBridge)
}

// A spawner starts processes in one thread: they are killed when that ends.
type spawner struct{ calls chan func() }

func newSpawner() *spawner {
	s := &spawner{calls: make(chan func())}
	go func() {
		runtime.LockOSThread() // For ever.
		for call := range s.calls {
			call()
		}
	}()
	return s
}

func (s *spawner) do(f func() error) error {
	done := make(chan error)
	s.calls <- func() { done <- f() }
	return <-done
}

func (s *spawner) close() { close(s.calls) }
