// Worker is a consumer of GitHub's webhooks. It writes a line of JSON about each
// event to standard output and acknowledges the event.
//
//	go -C examples/github-webhooks run ./cmd/worker -create
//
// Start it as often as you like, anywhere: the workers of a subscription share
// its events. When one of them ends, however suddenly, the others get what it
// had not acknowledged.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"example.com/tidings/client"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // A second signal ends the process at once.
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
}

// run is the worker from its arguments until ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("worker", flag.ContinueOnError)
	flags.SetOutput(stderr)
	addr := flags.String("addr", "127.0.0.1:7071", "the server's gRPC `address`")
	subscription := flags.String("subscription", "notifications", "the `name` of the subscription")
	create := flags.Bool("create", false, "create the subscription if it doesn't exist")
	name := flags.String("name", "worker", "what the worker calls itself in its lines")
	pause := flags.Duration("pause", 0, "pause so long after each line, as if that were slow work")
	if err := flags.Parse(args); err != nil {
		return err
	}
	conn, err := grpc.NewClient(*addr, append(client.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if *create {
		if err := createSubscription(ctx, conn, *subscription); err != nil {
			return fmt.Errorf("create the subscription: %w", err)
		}
	}
	notifier := newNotifier(*name, stdout)
	consumer := client.New(conn).Consumer(*subscription, client.ConsumerOptions{
		Logger: slog.New(slog.NewTextHandler(stderr, nil)).With("worker", *name),
	})
	return consumer.Run(ctx, client.HandleAny(func(_ context.Context, delivery *client.Delivery) error {
		err := notifier.handle(delivery)
		<-time.After(*pause)
		return err
	}))
}

// createSubscription creates the subscription unless it exists: each worker may
// be the first.
func createSubscription(ctx context.Context, conn grpc.ClientConnInterface, name string) error {
	_, err := tidingsv1.NewSubscriptionServiceClient(conn).CreateSubscription(ctx, &tidingsv1.CreateSubscriptionRequest{
		Subscription: &tidingsv1.Subscription{
			Name:  name,
			Topic: "github-webhooks",
			// The key of these events is the repository: at most one event of a
			// repository is with a worker, whichever, and they come in order.
			Ordering: tidingsv1.Ordering_ORDERING_KEY,
		},
	})
	if status.Code(err) == codes.AlreadyExists {
		return nil
	}
	return err
}
