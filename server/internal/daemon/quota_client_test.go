package daemon_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/tidings/client"
	"example.com/tidings/server/internal/daemon"
	"example.com/tidings/server/internal/quota"

	ordersv1 "example.com/tidings/examples/events/gen/shop/orders/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// TestClientKeepsToQuota publishes, reads and consumes with the Go client more than its
// quota allows at once: all of it comes to pass, in its time.
func TestClientKeepsToQuota(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"gRPC", "Connect"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			cfg := daemon.DefaultConfig()
			cfg.DataDir, cfg.Quota = t.TempDir(), quota.Limits{Requests: 20, Events: 100, Streams: 1}
			p := start(t, cfg)
			conn, err := grpc.NewClient(p.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close() //nolint:errcheck // Nothing is under way.
			c := client.New(conn)
			if protocol == "Connect" {
				protocols := new(http.Protocols)
				protocols.SetUnencryptedHTTP2(true)
				c = client.NewConnect(&http.Client{Transport: &http.Transport{Protocols: protocols}}, "http://"+p.HTTP)
			}
			u := &quotaUser{t: t, client: c, reader: tidingsv1.NewReaderServiceClient(conn)}
			u.publish()
			u.read()
			if _, err := tidingsv1.NewSubscriptionServiceClient(conn).CreateSubscription(deadline(t), &tidingsv1.CreateSubscriptionRequest{
				Subscription: &tidingsv1.Subscription{Name: "billing", Topic: "orders"},
			}); err != nil {
				t.Fatal(err)
			}
			u.consume()
		})
	}
}

const quotaEvents = 150

// quotaUser uses more than it may.
type quotaUser struct {
	t      *testing.T
	client *client.Client
	reader tidingsv1.ReaderServiceClient
}

// occupy opens the only stream that there may be. Call leave to end it.
func (u *quotaUser) occupy() (leave func()) {
	u.t.Helper()
	for ctx := deadline(u.t); ; { // The stream before may not have ended yet.
		ctx, cancel := context.WithCancel(ctx)
		stream, err := u.reader.Read(ctx, &tidingsv1.ReadRequest{Topic: "orders"})
		if err == nil {
			_, err = stream.Recv()
		}
		if err == nil {
			return cancel
		}
		cancel()
		if client.Reason(err) != "QUOTA_EXCEEDED" {
			u.t.Fatal(err)
		}
	}
}

func (u *quotaUser) publish() {
	u.t.Helper()
	ctx := deadline(u.t)
	publisher := u.client.Publisher(client.PublisherOptions{MaxBatchEvents: 20})
	var results []*client.Result
	for i := range quotaEvents {
		event, err := client.NewEvent("/shop", &ordersv1.OrderPaid{
			OrderId: fmt.Sprint(i), PaymentId: "p", Amount: &ordersv1.Money{CurrencyCode: "EUR", MinorUnits: 1}, PaidAt: timestamppb.Now(),
		})
		if err != nil {
			u.t.Fatal(err)
		}
		results = append(results, publisher.PublishAsync(ctx, event))
	}
	for i, result := range results {
		if _, err := result.Get(ctx); err != nil {
			u.t.Fatalf("event %d: %v", i, err)
		}
	}
	if err := publisher.Close(ctx); err != nil {
		u.t.Fatal(err)
	}
}

func (u *quotaUser) read() {
	u.t.Helper()
	leave := u.occupy()
	refused, events := 0, 0
	reader := u.client.Reader("orders", client.ReaderOptions{
		Logger: slog.New(slog.DiscardHandler), MaxEvents: quotaEvents,
		Trace: client.ReaderTrace{Reconnecting: func(err error, _ time.Duration) {
			if client.Reason(err) == "QUOTA_EXCEEDED" {
				refused++
				leave()
			}
		}},
	})
	for _, err := range reader.Events(deadline(u.t)) {
		if err != nil {
			u.t.Fatal(err)
		}
		events++
	}
	if events != quotaEvents || refused == 0 {
		u.t.Errorf("%d events were read, after %d refusals", events, refused)
	}
}

func (u *quotaUser) consume() {
	u.t.Helper()
	leave := u.occupy()
	ctx, done := context.WithCancel(deadline(u.t))
	defer done()
	refused, events := 0, 0
	consumer := u.client.Consumer("billing", client.ConsumerOptions{
		Logger: slog.New(slog.DiscardHandler),
		Trace: client.ConsumerTrace{
			Reconnecting: func(err error, _ time.Duration) {
				if client.Reason(err) == "QUOTA_EXCEEDED" {
					refused++
					leave()
				}
			},
			Settled: func(*client.Delivery, *tidingsv1.Settlement, *tidingsv1.SettlementResult, time.Duration) {
				events++
				if events == quotaEvents {
					done()
				}
			},
		},
	})
	err := consumer.Run(ctx, client.Handle(func(context.Context, *ordersv1.OrderPaid, *client.Delivery) error { return nil }))
	if err != nil || events != quotaEvents || refused == 0 {
		u.t.Errorf("%v; %d events were consumed, after %d refusals", err, events, refused)
	}
}
