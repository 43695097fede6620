// The command golden writes the golden vectors of the schemas as they stand, and
// those of a release that has none yet. Those of a release are never written again:
// what a client could decode when it was made has to stay decodable.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"example.com/tidings/tools/internal/golden"
)

func main() {
	root := flag.String("root", ".", "the `directory` of the checkout")
	buf := flag.String("buf", "buf", "the buf `binary` to run")
	flag.Parse()
	if err := run(context.Background(), *root, *buf); err != nil {
		fmt.Fprintln(os.Stderr, "golden:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, root, buf string) error {
	image, err := build(ctx, root, buf)
	if err != nil {
		return err
	}
	dir := filepath.Join(root, filepath.FromSlash(golden.Dir))
	if err := write(filepath.Join(dir, golden.Next), image); err != nil {
		return err
	}
	images, err := filepath.Glob(filepath.Join(root, "baseline", "v*.binpb"))
	if err != nil {
		return err
	}
	for _, path := range images {
		release := filepath.Join(dir, strings.TrimSuffix(filepath.Base(path), ".binpb"))
		if _, err := os.Stat(release); err == nil {
			continue
		} else if !errors.Is(err, os.ErrNotExist) {
			return err
		}
		image, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := write(release, image); err != nil {
			return err
		}
	}
	return nil
}

func write(dir string, image []byte) error {
	vectors, err := golden.Make(image)
	if err != nil {
		return err
	}
	return golden.Write(dir, vectors)
}

// build compiles the schemas of the checkout.
func build(ctx context.Context, root, buf string) ([]byte, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, buf, "build", "--exclude-source-info", "-o", "-#format=binpb")
	cmd.Dir, cmd.Stderr = root, &stderr
	image, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("buf build: %w: %s", err, &stderr)
	}
	return image, nil
}
