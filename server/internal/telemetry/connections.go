package telemetry

import (
	"net"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// connections counts those of each listener.
type connections struct {
	open     *prometheus.GaugeVec
	accepted *prometheus.CounterVec
	most     *prometheus.GaugeVec
}

func newConnections() connections {
	labels := []string{"listener"}
	return connections{
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tidings_connections", Help: "Open connections, by the address that they came to: http or grpc.",
		}, labels),
		accepted: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tidings_connections_accepted_total", Help: "Connections that were accepted.",
		}, labels),
		most: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tidings_max_connections", Help: "Connections that an address takes; further ones wait.",
		}, labels),
	}
}

func (c *connections) register(registry *prometheus.Registry) {
	registry.MustRegister(c.open, c.accepted, c.most)
}

// Listener counts the connections of a listener, which has a bound of them.
func (m *Metrics) Listener(name string, most int, l net.Listener) net.Listener {
	m.connections.most.WithLabelValues(name).Set(float64(most))
	return &countingListener{l, m.connections.open.WithLabelValues(name), m.connections.accepted.WithLabelValues(name)}
}

type countingListener struct {
	net.Listener

	open     prometheus.Gauge
	accepted prometheus.Counter
}

func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.accepted.Inc()
	l.open.Inc()
	return &countedConn{Conn: conn, open: l.open}, nil
}

type countedConn struct {
	net.Conn

	open   prometheus.Gauge
	closed sync.Once
}

func (c *countedConn) Close() error {
	c.closed.Do(c.open.Dec)
	return c.Conn.Close()
}
