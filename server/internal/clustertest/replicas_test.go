package clustertest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

func replicaName(number int) string { return fmt.Sprint("replica-", number) }

// replica is one of the servers, with what its clients share.
type replica struct {
	program
	http string
	conn *grpc.ClientConn
}

// startReplicas starts the replicas, with these flags besides those that they need.
// They serve when the NATS servers have found each other.
func startReplicas(t *testing.T, n network, nats *natsCluster, binary, dir string, flags ...string) (list []*replica) {
	t.Helper()
	for i := range members {
		h := n.host(replicaName(i), true)
		r := &replica{
			program: program{t: t, name: replicaName(i), host: h, logs: dir},
			http:    h.front(httpPort),
		}
		r.command = append([]string{
			binary, "serve", "--nats-url", nats.url(i), "--replicas", fmt.Sprint(members), "--insecure",
			"--schemas", "../../../examples/events/events.binpb",
			"--http-addr", r.http, "--grpc-addr", h.front(grpcPort), "--log-format", "json",
		}, flags...)
		var err error
		r.conn, err = grpc.NewClient("passthrough:///"+h.front(grpcPort),
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) { return n.dial(ctx, address) }),
			grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}),
			grpc.WithConnectParams(grpc.ConnectParams{
				MinConnectTimeout: time.Second,
				Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = r.conn.Close() })
		r.start()
		list = append(list, r)
	}
	return list
}

// ready reports whether a replica says that it is.
func ready(ctx context.Context, client *http.Client, r *replica) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.http+"/readyz", http.NoBody)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", r.name, response.Status)
	}
	return nil
}

func (r *replica) publisher() tidingsv1.PublisherServiceClient {
	return tidingsv1.NewPublisherServiceClient(r.conn)
}

func (r *replica) reader() tidingsv1.ReaderServiceClient {
	return tidingsv1.NewReaderServiceClient(r.conn)
}

func (r *replica) consumer() tidingsv1.ConsumerServiceClient {
	return tidingsv1.NewConsumerServiceClient(r.conn)
}
