package jetstream

import (
	"context"
	"io"
	"net"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"example.com/tidings/server/internal/engine"
)

// home brings a connection back to the NATS server that it came to first, once
// that is there again. Which that is was drawn by lot. Else the connections of all
// servers would be at one of NATS after the others have been away, each at its
// time, and what holds that one up would hold up everything.
type home struct {
	after   time.Duration // The time after which it looks whether it can go.
	host    string
	conn    *nats.Conn
	left    chan struct{} // Takes one when the connection has moved.
	closed  chan struct{}
	heading atomic.Bool // The next attempt to connect is to go home.
}

// homeAfter is for how long a connection stays where it went.
const homeAfter = time.Minute

func newHome(after time.Duration) *home {
	if after == 0 {
		after = homeAfter
	}
	return &home{after: after, left: make(chan struct{}, 1), closed: make(chan struct{})}
}

// choose says where to connect to next: nil leaves it to the client.
func (h *home) choose(servers []nats.Server, _ nats.ServerInfo) (*nats.Server, time.Duration) {
	if h.heading.Swap(false) {
		for i := range servers {
			if servers[i].URL != nil && servers[i].URL.Host == h.host {
				return &servers[i], 0
			}
		}
	}
	return nil, 0
}

// moved notes that the connection has moved.
func (h *home) moved() {
	select {
	case h.left <- struct{}{}:
	default:
	}
}

func hostOf(conn *nats.Conn) string {
	address, err := url.Parse(conn.ConnectedUrl())
	if err != nil {
		return ""
	}
	return address.Host
}

func (h *home) away() bool {
	host := hostOf(h.conn)
	return host != "" && host != h.host
}

// keep calls back whenever the connection is to go home, until close.
func (h *home) keep(back func()) error {
	for {
		select {
		case <-h.closed:
			return nil
		case <-h.left:
		}
		for h.away() {
			select {
			case <-h.closed:
				return nil
			case <-time.After(h.after):
			}
			if h.away() && h.answers() {
				h.heading.Store(true)
				back()
			}
		}
	}
}

// answers reports whether the server at home greets who connects to it: one that
// hangs doesn't.
func (h *home) answers() bool {
	const timeout = 2 * time.Second
	dialer := net.Dialer{Timeout: timeout}
	conn, err := dialer.DialContext(context.Background(), "tcp", h.host)
	if err != nil {
		return false
	}
	defer conn.Close() //nolint:errcheck // Nothing was written.
	greeting := make([]byte, len("INFO "))
	if conn.SetReadDeadline(time.Now().Add(timeout)) != nil {
		return false
	}
	_, err = io.ReadFull(conn, greeting)
	return err == nil && string(greeting) == "INFO "
}

// goHome lets a connection go home. What is under way over it fails then: so
// appends end before, and begin after.
func (e *Engine) goHome(l *link) {
	if l.name == nameOfWrites {
		ctx, cancel := context.WithTimeout(context.Background(), engine.CallTimeout)
		defer cancel()
		if e.inFlight.Acquire(ctx, engine.MaxBytesUnderWay) != nil {
			return
		}
		defer e.inFlight.Release(engine.MaxBytesUnderWay)
	}
	connected := l.conn.StatusChanged(nats.CONNECTED)
	defer l.conn.RemoveStatusListener(connected)
	if l.conn.ForceReconnect() != nil {
		return
	}
	select {
	case <-connected:
	case <-l.home.closed:
	case <-time.After(connectTimeout):
	}
}
