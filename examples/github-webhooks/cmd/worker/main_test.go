package main

import (
	"context"
	"io"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// creation answers CreateSubscription.
type creation struct {
	grpc.ClientConnInterface

	err     error
	request *tidingsv1.CreateSubscriptionRequest
}

func (c *creation) Invoke(_ context.Context, _ string, request, _ any, _ ...grpc.CallOption) error {
	c.request = request.(*tidingsv1.CreateSubscriptionRequest)
	return c.err
}

func TestEveryWorkerMayCreateTheSubscription(t *testing.T) {
	for code, want := range map[codes.Code]codes.Code{
		codes.OK:            codes.OK,
		codes.AlreadyExists: codes.OK,
		codes.NotFound:      codes.NotFound,
	} {
		server := &creation{err: status.Error(code, "the answer")}
		if err := createSubscription(t.Context(), server, "notifications"); status.Code(err) != want {
			t.Errorf("%v: got %v, want %v", code, err, want)
		}
		if got := server.request.GetSubscription(); got.GetName() != "notifications" || got.GetOrdering() != tidingsv1.Ordering_ORDERING_KEY {
			t.Errorf("created %v", got)
		}
	}
}

func TestRunRefusesUnknownFlags(t *testing.T) {
	if err := run(t.Context(), []string{"-topic", "x"}, io.Discard, io.Discard); err == nil {
		t.Error("it ran")
	}
}
