package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"

	"example.com/tidings/server/internal/compat"
	"example.com/tidings/server/internal/governance"
	"example.com/tidings/server/internal/schema"
)

// readTypes returns the types of an image.
func readTypes(path string, image []byte) (*schema.Set, error) {
	types, err := schema.Parse(image)
	if err != nil {
		return nil, fmt.Errorf("schemas: %s: %w", path, err)
	}
	return types, nil
}

// loadTypes returns the types of a source with its image, or none where no source
// is named. A rule that has a mistake is an error.
func loadTypes(ctx context.Context, source schemaSource) (types *schema.Set, content []byte, err error) {
	if source.path == "" {
		types, err = schema.Parse()
		return types, nil, err
	}
	if content, err = source.read(ctx); err != nil {
		return nil, nil, fmt.Errorf("schemas: %w", err)
	}
	if types, err = readTypes(source.path, content); err != nil {
		return nil, nil, err
	}
	if err := types.CheckRules(ctx, types.Image(), runtime.GOMAXPROCS(0)); err != nil {
		return nil, nil, fmt.Errorf("schemas: %s: %w", source.path, err)
	}
	return types, content, nil
}

// openBuf returns the Buf that the settings name, or nil where they name none.
func openBuf(ctx context.Context, cfg Config, log *slog.Logger) (*compat.Checker, error) {
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

// comparerOf returns what compares schemas: nothing where there is no Buf.
func comparerOf(buf *compat.Checker) governance.Comparer {
	if buf == nil {
		return nil
	}
	return buf
}
