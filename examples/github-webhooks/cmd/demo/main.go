// Demo sends the example payloads of GitHub's webhooks through a Tidings server
// and shows that none of them is lost or altered.
//
// It builds and starts the server, turns every payload of a kind that
// github.webhooks.v1 has into its event, publishes the events, reads them back,
// turns them into payloads again and compares those with the originals. Then it
// has three worker processes share the events and kills one of them midway. It
// ends with status 1 if anything was refused, lost or altered, or if an event
// was not acknowledged, was handled twice as the same attempt or came before an
// earlier one of its repository.
//
//	go -C examples/github-webhooks run ./cmd/demo
//
// The payloads are those of the npm package @octokit/webhooks-examples, which
// `make demo` fetches and unpacks.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// run is the demo from its arguments to its table.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	payloads := flags.String("payloads", "../../.cache/webhooks-examples/package/api.github.com/index.json",
		"the payloads of @octokit/webhooks-examples")
	source := flags.String("server", "../../server", "the server's Go module")
	schemas := flags.String("schemas", "../events/events.binpb", "the Buf image of the event schemas")
	workers := flags.String("worker", ".", "the worker's Go module")
	if err := flags.Parse(args); err != nil {
		return err
	}

	deliveries, err := load(*payloads)
	if err != nil {
		return err
	}
	deliveries.convert()

	fmt.Fprintln(stderr, "building and starting the server")
	server, err := startServer(ctx, *source, *schemas)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.stop()) }()

	conn, err := grpc.NewClient(server.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := replay(ctx, conn, deliveries, stdout); err != nil {
		return err
	}
	fmt.Fprintln(stderr, "building and starting the workers")
	return share(ctx, conn, server.GRPC, *workers, deliveries.modelled, stdout)
}

// replay publishes the deliveries, reads them back and reports. It fails if not
// every delivery came back as it was.
func replay(ctx context.Context, conn grpc.ClientConnInterface, deliveries *deliveries, stdout io.Writer) error {
	if err := publish(ctx, conn, deliveries.modelled); err != nil {
		return err
	}
	if err := readBack(ctx, conn, deliveries.modelled); err != nil {
		return err
	}
	return report(stdout, deliveries)
}
