// Command tidings runs the server and is its client.
package main

import (
	"context"
	"os"

	"example.com/tidings/server/internal/admin"
	"example.com/tidings/server/internal/cli"
	"example.com/tidings/server/internal/daemon"
)

func main() {
	os.Exit(cli.Main(context.Background(), os.Args[1:], cli.Program{
		Version:  daemon.Version,
		Commands: append(daemon.Commands(), admin.Commands()...),
		Stdin:    os.Stdin,
		Stdout:   os.Stdout,
		Stderr:   os.Stderr,
	}))
}
