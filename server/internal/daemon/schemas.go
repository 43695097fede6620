package daemon

import (
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"os"
	"runtime"

	"example.com/tidings/server/internal/compat"
	"example.com/tidings/server/internal/governance"
	"example.com/tidings/server/internal/schema"
)

// builtin is the Buf image of the event schemas in this repository. `make
// generate` writes it.
//
//go:embed examples.binpb
var builtin []byte

// readTypes returns the types that are compiled in and those of an image.
func readTypes(path string, image []byte) (*schema.Set, error) {
	types, err := schema.Parse(builtin, image)
	if err != nil {
		return nil, fmt.Errorf("schemas: %s: %w", path, err)
	}
	return types, nil
}

// loadTypes returns the types that are compiled in and those of a file, if one
// is named, with what it holds. A rule that has a mistake is an error.
func loadTypes(ctx context.Context, path string) (types *schema.Set, content []byte, err error) {
	if path == "" {
		types, err = schema.Parse(builtin)
		return types, nil, err
	}
	if content, err = os.ReadFile(path); err != nil {
		return nil, nil, fmt.Errorf("schemas: %w", err)
	}
	if types, err = readTypes(path, content); err != nil {
		return nil, nil, err
	}
	if err := types.CheckRules(ctx, types.Image(), runtime.GOMAXPROCS(0)); err != nil {
		return nil, nil, fmt.Errorf("schemas: %s: %w", path, err)
	}
	return types, content, nil
}

// openBuf returns what compares schemas, or nothing where no program is named.
func openBuf(ctx context.Context, cfg Config, log *slog.Logger) (governance.Comparer, error) {
	if cfg.Buf == "" {
		return nil, nil //nolint:nilnil // There is none.
	}
	buf, err := compat.New(ctx, cfg.Buf)
	if err != nil {
		return nil, fmt.Errorf("buf: %w", err)
	}
	if buf.Version() != compat.Version {
		log.Warn("another Buf than this release was tested with", "version", buf.Version(), "tested", compat.Version)
	}
	if cfg.BufPlugin == "" {
		return buf, nil
	}
	if buf, err = buf.WithPlugin(ctx, cfg.BufPlugin); err != nil {
		return nil, fmt.Errorf("buf-plugin: %w", err)
	}
	return buf, nil
}
