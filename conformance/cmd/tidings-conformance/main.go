// Command tidings-conformance checks whether a server keeps to the contract
// tidings.v1: it calls it in every way that the contract can be called, and
// compares what comes back with what the contract promises.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // A second signal ends the process at once.
	status := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	os.Exit(status)
}
