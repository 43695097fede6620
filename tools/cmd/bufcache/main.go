// The command bufcache fills Buf's module cache with the dependencies of a
// buf.lock, from the Go modules that carry the same files.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"

	"example.com/tidings/tools/internal/bufcache"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bufcache:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("bufcache", flag.ContinueOnError)
	lock := flags.String("lock", "buf.lock", "the buf.lock `file` whose dependencies to fill in")
	if err := flags.Parse(args); err != nil {
		return err
	}
	return bufcache.FillDefault(ctx, *lock, stdout)
}
