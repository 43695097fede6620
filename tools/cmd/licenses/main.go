// The command licenses writes the licences of the modules that a Go program links,
// with their notices, as they have to go with the program wherever it is handed on.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "licenses:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("licenses", flag.ContinueOnError)
	module := flags.String("C", ".", "the `directory` of the program's module, which is no other's dependency")
	program := flags.String("package", "", "the program's `package`, seen from there")
	output := flags.String("o", "", "the `file` to write, seen from there")
	if err := flags.Parse(args); err != nil {
		return err
	}
	packages, err := linked(ctx, *module, *program)
	if err != nil {
		return err
	}
	standard, err := goRoot(ctx, *module)
	if err != nil {
		return err
	}
	licenses, err := collect(packages, standard)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(*module, *output), render(filepath.Base(*program), licenses), 0o644)
}
