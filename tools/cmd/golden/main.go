// The command golden writes the golden vectors of the schemas as they stand, and
// those of a release that has none yet. Those of a release are never written again:
// what a client could decode when it was made has to stay decodable. Where the
// contract broke after a release, as it may before 1.0.0, they are removed.
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
	releases, err := golden.Releases(root)
	if err != nil {
		return err
	}
	for _, release := range releases {
		if err := complete(filepath.Join(dir, release.Name), release); err != nil {
			return err
		}
	}
	return nil
}

// complete makes a directory hold the vectors of a release if they are kept, and
// not be there if not.
func complete(dir string, release golden.Release) error {
	if !release.Kept {
		return os.RemoveAll(dir)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	image, err := os.ReadFile(release.Image)
	if err != nil {
		return err
	}
	return write(dir, image)
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
