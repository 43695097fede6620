// Command tidings runs the server and is its client.
package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"example.com/tidings/server/internal/cli"
	"example.com/tidings/server/internal/daemon"
)

func main() {
	os.Exit(cli.Main(context.Background(), os.Args[1:], cli.Program{
		Version:  daemon.Version,
		Commands: []*cobra.Command{daemon.Command()},
		Stdin:    os.Stdin,
		Stdout:   os.Stdout,
		Stderr:   os.Stderr,
	}))
}
