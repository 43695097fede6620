package clustertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// members is the number of the NATS servers, and of the replicas of the server.
const members = 3

// natsConfig is the configuration of one of the NATS servers.
const natsConfig = `
server_name: %s
listen: %q
http: %q
max_payload: 8MB
jetstream { store_dir: %q, max_memory_store: 64MB, max_file_store: 4GB }
cluster { name: tidings, listen: %q, routes: [%s] }
authorization { users: [
  { user: observer, password: secret }
%s] }
`

// natsServer is one of the NATS servers.
type natsServer struct {
	program
	monitor  string // The address of its monitoring.
	observer *nats.Conn
}

// natsCluster are the NATS servers. The replicas connect as users of their own,
// so that it can be told whose a connection is.
type natsCluster struct {
	t       *testing.T
	network network
	servers []*natsServer
	http    *http.Client
}

// startNATS starts the NATS servers, whose logs are in a directory.
func startNATS(t *testing.T, n network, binary, dir string) *natsCluster {
	t.Helper()
	c := &natsCluster{t: t, network: n, http: httpClient(n)}
	var routes []string
	var users strings.Builder
	for i := range members {
		h := n.host(fmt.Sprint("nats-", i), false)
		routes = append(routes, fmt.Sprintf("%q", "nats://"+h.back(routePort)))
		fmt.Fprintf(&users, "  { user: %s, password: secret }\n", replicaName(i))
		c.servers = append(c.servers, &natsServer{
			program: program{t: t, name: fmt.Sprint("nats-", i), host: h, logs: dir},
			monitor: h.back(monitorPort),
		})
	}
	for _, s := range c.servers {
		config := filepath.Join(dir, s.name+".conf")
		content := fmt.Sprintf(natsConfig, s.name, s.host.back(natsPort), s.monitor, t.TempDir(),
			s.host.back(routePort), strings.Join(routes, ", "), users.String())
		if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		s.command = []string{binary, "-c", config}
		s.start()
		var err error
		s.observer, err = nats.Connect("nats://observer:secret@"+s.host.back(natsPort),
			nats.SetCustomDialer(natsDialer{n}), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1),
			nats.DontRandomize(), nats.IgnoreDiscoveredServers(), nats.ReconnectWait(200*time.Millisecond),
			nats.PingInterval(time.Second), nats.MaxPingsOutstanding(1), nats.ReconnectBufSize(-1))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.observer.Close)
	}
	return c
}

// natsDialer dials in the network.
type natsDialer struct{ network network }

func (d natsDialer) Dial(_, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return d.network.dial(ctx, address)
}

// httpClient returns a client that calls in the network and doesn't wait long.
func httpClient(n network) *http.Client {
	return &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, address string) (net.Conn, error) { return n.dial(ctx, address) },
	}}
}

// url is what the replica of a number connects to.
func (c *natsCluster) url(replica int) string {
	var urls []string
	for _, s := range c.servers {
		urls = append(urls, fmt.Sprintf("nats://%s:secret@%s", replicaName(replica), s.host.back(natsPort)))
	}
	return strings.Join(urls, ",")
}

// streamOf is the name of the stream with the events of a topic.
func streamOf(topic string) string { return "tidings-topic-" + topic }

// leader asks every server for the leader of a stream, and returns its number.
func (c *natsCluster) leader(ctx context.Context, stream string) (int, error) {
	var failed error
	for _, s := range c.servers {
		info, err := streamInfo(ctx, s.observer, stream)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		for i, other := range c.servers {
			if info.Cluster != nil && info.Cluster.Leader == other.name {
				return i, nil
			}
		}
	}
	return 0, fmt.Errorf("%s has no leader: %w", stream, failed)
}

// streamInfo asks for a stream, which its leader answers.
func streamInfo(ctx context.Context, conn *nats.Conn, stream string) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	js, err := jetstream.New(conn)
	if err != nil {
		return nil, err
	}
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return nil, err
	}
	return s.CachedInfo(), nil
}

// healthy returns nil if every stream has a leader and copies that are up to
// date on all servers.
func (c *natsCluster) healthy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	js, err := jetstream.New(c.servers[0].observer)
	if err != nil {
		return err
	}
	count := 0
	list := js.ListStreams(ctx)
	for info := range list.Info() {
		count++
		switch {
		case info.Cluster == nil || info.Cluster.Leader == "":
			return fmt.Errorf("%s has no leader", info.Config.Name)
		case len(info.Cluster.Replicas) != members-1:
			return fmt.Errorf("%s has %d copies", info.Config.Name, 1+len(info.Cluster.Replicas))
		}
		for _, peer := range info.Cluster.Replicas {
			if !peer.Current || peer.Offline {
				return fmt.Errorf("%s is behind on %s", info.Config.Name, peer.Name)
			}
		}
	}
	if err := list.Err(); err != nil {
		return err
	}
	if count == 0 {
		return errors.New("there are no streams")
	}
	for _, s := range c.servers {
		if !s.observer.IsConnected() {
			return fmt.Errorf("%s isn't reached", s.name)
		}
	}
	return nil
}

// connections is what a NATS server tells of its connections.
type connections struct {
	Connections []struct {
		User          string   `json:"authorized_user"`
		Subscriptions []string `json:"subscriptions_list"`
	} `json:"connections"`
}

// connections asks a server for its connections.
func (c *natsCluster) connections(ctx context.Context, s *natsServer) (list connections, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.monitor+"/connz?auth=1&subs=1", http.NoBody)
	if err != nil {
		return list, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return list, err
	}
	defer func() { _ = response.Body.Close() }()
	err = json.NewDecoder(response.Body).Decode(&list)
	return list, err
}

// owner returns the number of the replica that owns the most subscriptions.
func (c *natsCluster) owner(ctx context.Context) (int, error) {
	var owned [members]int
	for _, s := range c.servers {
		list, err := c.connections(ctx, s)
		if err != nil {
			return 0, err
		}
		for _, connection := range list.Connections {
			for i := range members {
				if connection.User != replicaName(i) {
					continue
				}
				for _, subject := range connection.Subscriptions {
					if strings.HasPrefix(subject, "tidings.owner.") {
						owned[i]++
					}
				}
			}
		}
	}
	most := 0
	for i, count := range owned {
		if count > owned[most] {
			most = i
		}
	}
	if owned[most] == 0 {
		return 0, errors.New("no replica owns a subscription")
	}
	return most, nil
}
