package client

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// A server that comes back is found although grpc-go would wait for an hour before it
// connected again.
func TestStreamsDoNotWaitForTheBackoffOfGRPC(t *testing.T) {
	refused := make(chan struct{}, 1000)
	conn, err := grpc.NewClient("passthrough:///server", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: time.Hour, Multiplier: 1, MaxDelay: time.Hour}}),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			refused <- struct{}{}
			return nil, errors.New("nobody listens")
		}))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	calls := New(conn).calls
	for name, call := range map[string]func() error{
		"PublishStream": func() error { _, err := calls.publishStream(t.Context()); return err },
		"Read":          func() error { _, err := calls.read(t.Context(), new(tidingsv1.ReadRequest)); return err },
		"Consume":       func() error { _, err := calls.consume(t.Context()); return err },
	} {
		// A call that comes while the connection fails, before it begins to wait, ends no
		// wait: the package calls again after a delay, and so does the test.
		deadline := time.After(time.Minute)
		for dialled := false; !dialled; {
			if err := call(); !Retryable(err) {
				t.Fatalf("%s: got %v", name, err)
			}
			select {
			case <-refused:
				dialled = true
			case <-time.After(10 * time.Millisecond):
			case <-deadline:
				t.Fatalf("%s doesn't connect", name)
			}
		}
	}
}
