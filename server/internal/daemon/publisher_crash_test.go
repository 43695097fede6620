package daemon_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/tidings/client"
	"example.com/tidings/server/internal/daemon"

	ordersv1 "example.com/tidings/examples/events/gen/shop/orders/v1"
	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

const (
	callers      = 64
	callerBursts = 12
	burst        = 6 // Calls of a caller at once; the last has two events.
)

// TestPublisherOverKilledServers has 64 goroutines publish through one client.Publisher
// while the server is killed, or told to end, and started again: every event gets a
// receipt, is stored once, and those of a goroutine are in their order. A client.Reader
// that follows the topic meanwhile reads the same.
func TestPublisherOverKilledServers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, storage string
		dedupe        optionsv1.Dedupe
		dial          func(t *testing.T, current *atomic.Pointer[process]) *client.Client
	}{
		{"gRPC, by request", "local", optionsv1.Dedupe_DEDUPE_REQUEST, dialCurrentGRPC},
		{"Connect, by event", "local", optionsv1.Dedupe_DEDUPE_EVENT, dialCurrentHTTP},
		{"gRPC, NATS, by request", "nats", optionsv1.Dedupe_DEDUPE_REQUEST, dialCurrentGRPC},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			seed := rand.Uint64() //nolint:gosec // Not a secret.
			t.Logf("seed %d", seed)
			random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // A seed makes a run repeatable.
			cfg := daemon.DefaultConfig()
			storages[test.storage](t, &cfg)
			var current atomic.Pointer[process]
			current.Store(start(t, cfg))
			if _, err := tidingsv1.NewTopicServiceClient(current.Load().dial(t)).CreateTopic(t.Context(), &tidingsv1.CreateTopicRequest{
				Topic: &tidingsv1.Topic{Name: "publisher", Settings: &optionsv1.TopicSettings{Dedupe: test.dedupe}},
			}); err != nil {
				t.Fatal(err)
			}
			publisher := test.dial(t, &current).Publisher(client.PublisherOptions{Topic: "publisher", MaxBatchEvents: 16})
			var receipts atomic.Int64
			received := make(chan struct{}, 1)
			var group sync.WaitGroup
			group.Go(func() {
				checkBursts(t, test.dial(t, &current).Reader("publisher", client.ReaderOptions{
					MaxEvents: callers * callerBursts * (burst + 1),
					Logger:    slog.New(slog.NewTextHandler(t.Output(), nil)),
				}))
			})
			for caller := range callers {
				group.Go(func() {
					publishBursts(t, publisher, caller, func() {
						receipts.Add(1)
						select {
						case received <- struct{}{}:
						default:
						}
					})
				})
			}
			const all = callers * callerBursts * burst
			for round := range crashes {
				for enough := int64(round*all/(crashes+1) + random.IntN(all/(crashes+1))); receipts.Load() < enough; {
					<-received
				}
				current.Load().end([]syscall.Signal{syscall.SIGKILL, syscall.SIGTERM}[round%2])
				current.Store(start(t, cfg))
			}
			group.Wait()
			if err := publisher.Close(t.Context()); err != nil {
				t.Error(err)
			}
			checkBursts(t, test.dial(t, &current).Reader("publisher", client.ReaderOptions{
				Stop: &tidingsv1.StopPosition{Position: &tidingsv1.StopPosition_CaughtUp{CaughtUp: true}},
			}))
		})
	}
}

// publishBursts publishes events, several calls at once, and waits for the receipts of
// all before it goes on.
func publishBursts(t *testing.T, publisher *client.Publisher, caller int, received func()) {
	t.Helper()
	number := 0
	event := func() *tidingsv1.Event {
		event, err := client.NewEvent(fmt.Sprintf("/caller/%d", caller), &ordersv1.OrderCancelled{
			OrderId:     fmt.Sprintf("order-%d", caller),
			Reason:      ordersv1.CancellationReason_CANCELLATION_REASON_CUSTOMER_REQUEST,
			CancelledAt: &timestamppb.Timestamp{Seconds: int64(number)},
		})
		if err != nil {
			t.Error(err)
		}
		event.Id = fmt.Sprint(number)
		number++
		return event
	}
	for range callerBursts {
		var results []*client.Result
		for i := range burst {
			events := []*tidingsv1.Event{event()}
			if i == burst-1 {
				events = append(events, event())
			}
			results = append(results, publisher.PublishAsync(t.Context(), events...))
		}
		for i, result := range results {
			if receipts, err := result.Get(t.Context()); err != nil || len(receipts) != 1+i/(burst-1) {
				t.Errorf("caller %d: %v, %v", caller, receipts, err)
			}
			received()
		}
	}
}

// checkBursts reads everything and compares it with what was published.
func checkBursts(t *testing.T, reader *client.Reader) {
	t.Helper()
	next := make(map[string]int)
	for event, err := range reader.Events(t.Context()) {
		if err != nil {
			t.Error(err)
			return
		}
		source, id := event.GetEvent().GetSource(), event.GetEvent().GetId()
		if id != fmt.Sprint(next[source]) {
			t.Errorf("sequence %d: event %s of %s, want %d", event.GetSequence(), id, source, next[source])
			return
		}
		next[source]++
	}
	if len(next) != callers {
		t.Errorf("events of %d callers, want %d", len(next), callers)
	}
	for source, count := range next {
		if want := callerBursts * (burst + 1); count != want {
			t.Errorf("%s: %d events, want %d", source, count, want)
		}
	}
}

// dialCurrentGRPC connects to whichever server there is.
func dialCurrentGRPC(t *testing.T, current *atomic.Pointer[process]) *client.Client {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///current", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", current.Load().GRPC)
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return client.New(conn)
}

// dialCurrentHTTP does so for Connect.
func dialCurrentHTTP(t *testing.T, current *atomic.Pointer[process]) *client.Client {
	t.Helper()
	h2c := new(http.Protocols)
	h2c.SetUnencryptedHTTP2(true)
	transport := &http.Transport{
		Protocols: h2c,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", strings.TrimPrefix(current.Load().HTTP, "http://"))
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return client.NewConnect(&http.Client{Transport: transport}, "http://localhost")
}
