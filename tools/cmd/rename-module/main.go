// The command rename-module gives the whole repository another Go module path, and
// the names in other languages that follow from it, for whoever adopts it under a
// path of their own. Run again without a path, it renames what came in since from
// upstream, under the path that it has there.
//
// It changes every file of the project but the generated code, which `make
// module` generates anew afterwards.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "rename-module:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("rename-module", flag.ContinueOnError)
	root := flags.String("root", ".", "the `directory` of the checkout")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: rename-module [-root directory] [new-module-path]")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 1 {
		flags.Usage()
		return fmt.Errorf("want one module path, got %d arguments", flags.NArg())
	}
	return rename(*root, flags.Arg(0), stdout)
}
