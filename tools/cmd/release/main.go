// The command release turns the state of the checkout into a release: it writes
// the image of the schemas, the entry of the change log, and the version wherever
// it stands. All of that or nothing.
//
// It commits nothing: it says what is left to do.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"time"
)

func main() {
	if err := run(context.Background(), os.Args[1:], time.Now(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, now time.Time, stdout io.Writer) error {
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	root := flags.String("root", ".", "the `directory` of the checkout")
	buf := flags.String("buf", "buf", "the buf `binary` to run")
	gate := flags.String("breaking", "breaking", "the `binary` that decides on breaking changes")
	base := flags.String("base", "", "the `revision` that breaking compares with, as for make breaking")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: release [flags] x.y.z")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 || flags.Arg(0) == "" {
		flags.Usage()
		return fmt.Errorf("want one version, got %d arguments", flags.NArg())
	}
	r := releaser{
		root: *root, buf: *buf, gate: *gate, base: *base,
		version: flags.Arg(0), day: now.UTC().Format(time.DateOnly), out: stdout,
	}
	return r.release(ctx)
}
