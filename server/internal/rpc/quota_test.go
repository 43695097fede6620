package rpc_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"example.com/tidings/server/internal/quota"
	"example.com/tidings/server/internal/rpc"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// quotaServer is a server of which everybody together may use so much.
func quotaServer(t *testing.T, limits quota.Limits) *server {
	t.Helper()
	s, err := startWith(t.Context(), t.TempDir(), nil, func(c *rpc.Config) { c.Quotas = quota.NewAccounts(limits) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

// store publishes orders, a request of each number, without a call.
func (s *server) store(t *testing.T, numbers ...int) {
	t.Helper()
	for i, number := range numbers {
		request, err := proto.Marshal(&tidingsv1.PublishRequest{Topic: "orders", Events: orders(t, fmt.Sprint("stored-", i), number)})
		if err == nil {
			_, err = s.service.PublishEncoded(testContext(t), request)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// wantQuota fails the test unless an error says that a quota is used up, and returns
// when to try again.
func wantQuota(t *testing.T, err error, name string, limit int) time.Duration {
	t.Helper()
	wantRefusal(t, err, because(codes.ResourceExhausted, "QUOTA_EXCEEDED", "quota", name, "limit", fmt.Sprint(limit)))
	_, details, message := partsOf(t, err)
	var delay time.Duration
	failed := false
	for _, detail := range details {
		switch detail := detail.(type) {
		case *errdetails.QuotaFailure:
			violations := detail.GetViolations()
			failed = len(violations) == 1 && violations[0].GetSubject() == name && violations[0].GetDescription() == message
		case *errdetails.RetryInfo:
			delay = detail.GetRetryDelay().AsDuration()
		}
	}
	if !failed || delay <= 0 {
		t.Fatalf("the details are %v", details)
	}
	return delay
}

// TestQuotaExceeded uses each quota up over each transport.
func TestQuotaExceeded(t *testing.T) {
	t.Parallel()
	create := func(t *testing.T, c client) {
		t.Helper()
		if _, err := c.CreateSubscription(testContext(t), &tidingsv1.CreateSubscriptionRequest{
			Subscription: &tidingsv1.Subscription{Name: "billing", Topic: "orders"},
		}); err != nil {
			t.Fatal(err)
		}
	}
	publishing := func(t *testing.T, c client, events ...*tidingsv1.Event) error {
		t.Helper()
		_, err := c.Publish(testContext(t), &tidingsv1.PublishRequest{Topic: "orders", Events: events})
		return err
	}
	pull := func(t *testing.T, c client) error {
		t.Helper()
		_, err := c.Pull(testContext(t), &tidingsv1.PullRequest{Subscription: "billing", MaxEvents: 40})
		return err
	}
	validate := func(t *testing.T, c client, number int) error {
		t.Helper()
		_, err := c.ValidateEvents(testContext(t), &tidingsv1.ValidateEventsRequest{Events: orders(t, "v", number)})
		return err
	}
	for name, test := range map[string]struct {
		limits quota.Limits
		quota  string
		// owed is how long it takes at least until nothing is owed of what spend uses,
		// after which call is refused.
		owed  time.Duration
		spend func(*testing.T, client, *server) error
		call  func(*testing.T, client) error
	}{
		"events that are published": {
			quota.Limits{Events: 1}, quota.Events, 40 * time.Second,
			func(t *testing.T, c client, _ *server) error {
				t.Helper()
				return publishing(t, c, orders(t, "a", 40)...)
			},
			func(t *testing.T, c client) error { t.Helper(); return publishing(t, c, orders(t, "b", 1)...) },
		},
		"events that are validated": {
			quota.Limits{Events: 1}, quota.Events, 40 * time.Second,
			func(t *testing.T, c client, _ *server) error { t.Helper(); return validate(t, c, 40) },
			func(t *testing.T, c client) error { t.Helper(); return validate(t, c, 1) },
		},
		"bytes that are published": {
			quota.Limits{Bytes: 1000}, quota.Bytes, 40 * time.Second,
			func(t *testing.T, c client, _ *server) error {
				t.Helper()
				return publishing(t, c, bulky(t, "a", 40_000))
			},
			func(t *testing.T, c client) error { t.Helper(); return publishing(t, c, orders(t, "b", 1)...) },
		},
		"events that are delivered": {
			quota.Limits{Events: 1}, quota.Events, 40 * time.Second,
			func(t *testing.T, c client, s *server) error {
				t.Helper()
				create(t, c)
				s.store(t, 40)
				return pull(t, c)
			},
			pull,
		},
		"an event that is shown": {
			quota.Limits{Bytes: 1}, quota.Bytes, 40 * time.Second,
			func(t *testing.T, c client, s *server) error {
				t.Helper()
				s.store(t, 1)
				_, err := c.GetEvent(testContext(t), &tidingsv1.GetEventRequest{Topic: "orders", Sequence: 1})
				return err
			},
			func(t *testing.T, c client) error {
				t.Helper()
				_, err := c.GetEvent(testContext(t), &tidingsv1.GetEventRequest{Topic: "orders", Sequence: 1})
				return err
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, transport := range transports() {
				t.Run(transport.String(), func(t *testing.T) {
					t.Parallel()
					s := quotaServer(t, test.limits)
					c := transport.dial(t, s)
					begun := time.Now()
					if err := test.spend(t, c, s); err != nil {
						t.Fatal(err)
					}
					limit := max(test.limits.Events, test.limits.Bytes)
					delay := wantQuota(t, test.call(t, c), test.quota, int(limit))
					// A second's worth is the caller's in any case.
					if least := test.owed - time.Second - time.Since(begun); delay < least {
						t.Errorf("it says to come back after %s, and something is owed for %s", delay, least)
					}
				})
			}
		})
	}
}

// TestRequestQuota makes requests until they are refused, and then as the error says.
func TestRequestQuota(t *testing.T) {
	t.Parallel()
	for _, transport := range transports() {
		t.Run(transport.String(), func(t *testing.T) {
			t.Parallel()
			c := transport.dial(t, quotaServer(t, quota.Limits{Requests: 1}))
			ctx := testContext(t)
			call := func() error {
				_, err := c.GetServerInfo(ctx, &tidingsv1.GetServerInfoRequest{})
				return err
			}
			err := call()
			for err == nil && ctx.Err() == nil {
				err = call()
			}
			delay := wantQuota(t, err, quota.Requests, 1)
			if delay > time.Second {
				t.Errorf("one a second is there after %s", delay)
			}
			pause(ctx, delay)
			if err := call(); err != nil {
				t.Errorf("after %s, as the error says: %v", delay, err)
			}
		})
	}
}

// TestStreamQuota opens a stream more than there may be, and again when one has ended.
func TestStreamQuota(t *testing.T) {
	t.Parallel()
	for _, transport := range transports() {
		t.Run(transport.String(), func(t *testing.T) {
			t.Parallel()
			c := transport.dial(t, quotaServer(t, quota.Limits{Streams: 1}))
			open := func(ctx context.Context) error {
				stream, err := c.read(ctx, &tidingsv1.ReadRequest{Topic: "orders"})
				if err == nil {
					_, err = stream.Recv() // Caught up.
				}
				return err
			}
			first, end := context.WithCancel(testContext(t))
			defer end()
			if err := open(first); err != nil {
				t.Fatal(err)
			}
			wantQuota(t, open(testContext(t)), quota.Streams, 1)
			if _, err := c.GetServerInfo(testContext(t), &tidingsv1.GetServerInfoRequest{}); err != nil {
				t.Errorf("a call that is no stream: %v", err)
			}
			end()
			ctx := testContext(t)
			err := open(ctx)
			for err != nil && ctx.Err() == nil { // Until the server knows.
				wantQuota(t, err, quota.Streams, 1)
				err = open(ctx)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}
