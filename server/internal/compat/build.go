package compat

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// ErrSources is wrapped by the error for sources that Buf finds fault with.
var ErrSources = errors.New("the schemas can't be built")

// maxFaultBytes bounds what is repeated of what Buf says.
const maxFaultBytes = 2 << 10

// Build returns the image of a directory with a buf.yaml, with all that it
// imports. As at a prompt, Buf takes its cache and what it signs in with from the
// environment, and fetches modules that aren't in its cache. The error wraps
// ErrSources or ErrFailed, or is the context's.
func (c *Checker) Build(ctx context.Context, dir string) ([]byte, error) {
	bounded, cancel := context.WithTimeout(ctx, compareTimeout)
	defer cancel()
	// Without the format Buf would go by the name, and take `schemas.git` for a
	// repository.
	cmd, stderr := c.command(bounded, []string{"build", "-o", "-#format=binpb", "--", dir + "#format=dir"})
	image, err := cmd.Output()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case bounded.Err() != nil:
		return nil, fmt.Errorf("%w: buf takes longer than %s", ErrFailed, compareTimeout)
	case foundFault(err):
		return nil, fmt.Errorf("%w: %s", ErrSources, faults(stderr.String()))
	case err != nil:
		return nil, fmt.Errorf("%w: buf build: %w: %s", ErrFailed, err, faults(failure(stderr.String())))
	default:
		return image, nil
	}
}

// faults is what Buf says, a line each, on one line.
func faults(stderr string) string {
	text := strings.ReplaceAll(strings.TrimSpace(stderr), "\n", "; ")
	if len(text) > maxFaultBytes {
		text = strings.ToValidUTF8(text[:maxFaultBytes], "") + "…"
	}
	return text
}
