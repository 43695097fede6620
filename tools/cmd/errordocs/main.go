// The command errordocs writes docs/errors.md from the catalogue of errors in
// the contract: the enum ErrorReason, its options and its comments.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "errordocs:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("errordocs", flag.ContinueOnError)
	root := flags.String("root", ".", "the `directory` of the checkout")
	buf := flags.String("buf", "buf", "the buf `binary` to run")
	output := flags.String("o", filepath.Join("docs", "errors.md"), "the `file` to write, seen from the root")
	if err := flags.Parse(args); err != nil {
		return err
	}
	image, err := buildImage(ctx, *buf, *root)
	if err != nil {
		return err
	}
	reasons, err := readCatalogue(image)
	if err != nil {
		return err
	}
	page, err := render(reasons)
	if err != nil {
		return err
	}
	if !filepath.IsAbs(*output) {
		*output = filepath.Join(*root, *output)
	}
	return os.WriteFile(*output, page, 0o644)
}

// buildImage returns the Buf image of the schemas, with their comments.
func buildImage(ctx context.Context, buf, root string) ([]byte, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, buf, "build", "-o", "-#format=binpb")
	cmd.Dir = root
	cmd.Stderr = &stderr
	image, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("buf build: %w: %s", err, &stderr)
	}
	return image, nil
}
