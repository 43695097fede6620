package daemon

import (
	_ "embed"
	"fmt"
	"os"

	"example.com/tidings/server/internal/schema"
)

// builtin is the Buf image of the event schemas in this repository. `make
// generate` writes it.
//
//go:embed examples.binpb
var builtin []byte

// loadTypes returns the types that are compiled in and those of a file, if one
// is named.
func loadTypes(path string) (*schema.Set, error) {
	if path == "" {
		return schema.Parse(builtin)
	}
	image, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("schemas: %w", err)
	}
	types, err := schema.Parse(builtin, image)
	if err != nil {
		return nil, fmt.Errorf("schemas: %s: %w", path, err)
	}
	return types, nil
}
