// The command pack-module packs the Go modules as others download them, into a
// directory that a file:// GOPROXY can name.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"example.com/tidings/tools/internal/moduleproxy"
)

func main() {
	root := flag.String("root", ".", "the checkout")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: pack-module [-root DIR] PROXY")
		os.Exit(2)
	}
	packed, err := moduleproxy.Pack(context.Background(), *root, flag.Arg(0))
	if err != nil {
		fmt.Fprintln(os.Stderr, "pack-module:", err)
		os.Exit(1)
	}
	for _, module := range packed {
		fmt.Println(module.Zip)
	}
}
