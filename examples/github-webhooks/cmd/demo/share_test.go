package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// fakeSubscriptions has a subscription whose backlog shrinks each time that
// somebody looks.
type fakeSubscriptions struct {
	tidingsv1.SubscriptionServiceClient

	backlog int64
	err     error
}

func (f *fakeSubscriptions) GetSubscription(ctx context.Context, request *tidingsv1.GetSubscriptionRequest, _ ...grpc.CallOption) (*tidingsv1.GetSubscriptionResponse, error) {
	if f.err != nil || ctx.Err() != nil {
		return nil, errors.Join(f.err, ctx.Err())
	}
	f.backlog--
	return &tidingsv1.GetSubscriptionResponse{Subscription: &tidingsv1.Subscription{
		Name: request.GetName(), Statistics: &tidingsv1.SubscriptionStatistics{BacklogEvents: f.backlog},
	}}, nil
}

func TestAwait(t *testing.T) {
	empty := func(s *tidingsv1.SubscriptionStatistics) bool { return s.GetBacklogEvents() == 0 }
	never := func(*tidingsv1.SubscriptionStatistics) bool { return false }
	tests := []struct {
		name   string
		server *fakeSubscriptions
		shown  func(*tidingsv1.SubscriptionStatistics) bool
		want   string // in the error; empty: none
	}{
		{"comes", &fakeSubscriptions{backlog: 100}, empty, ""},
		{"never comes", &fakeSubscriptions{backlog: 100_000}, never, "until it is done: context deadline exceeded; the subscription has backlog_events:"},
		{"fails", &fakeSubscriptions{err: errors.New("no such subscription")}, empty, "get the subscription: no such subscription"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				got, err := await(t.Context(), test.server, "it is done", test.shown)
				if took := time.Since(began); took > eachWithin {
					t.Errorf("took %v", took)
				}
				if test.want == "" {
					if err != nil || got == nil {
						t.Errorf("got %v, %v", got, err)
					}
					return
				}
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want %q", err, test.want)
				}
			})
		})
	}
}
