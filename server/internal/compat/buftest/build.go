package buftest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Build compiles sources, by their paths, in a directory of their own, and returns
// the image. They may import google/protobuf.
func Build(ctx context.Context, dir string, sources map[string]string) ([]byte, error) {
	buf, err := Path()
	for path, source := range sources {
		err = errors.Join(err, write(dir, path, source))
	}
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, buf, "build", dir, "-o", "-")
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil, fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	return out, err
}

func write(dir, path, source string) error {
	name := filepath.Join(dir, filepath.FromSlash(path))
	return errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(source), 0o600))
}
