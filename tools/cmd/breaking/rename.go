package main

import (
	"context"
	"fmt"

	"golang.org/x/mod/modfile"

	"example.com/tidings/tools/internal/schemaimage"
	"example.com/tidings/tools/internal/workspace"
)

// A moduleRename says that the Go module was called something else at the
// reference: an adopter gave it a path of their own. That changes the go_package
// of every file and breaks nobody, because a module with the new path has no
// importers yet.
type moduleRename struct {
	from, to string
}

// renamedSince tells what the module was called at a commit. If the commit had
// no go.mod, nothing was renamed.
func (g gate) renamedSince(ctx context.Context, repo repository, commit string) (moduleRename, error) {
	now, err := workspace.ModulePath(g.root)
	if err != nil {
		return moduleRename{}, err
	}
	there, err := repo.has(ctx, commit, "go.mod")
	if err != nil || !there {
		return moduleRename{from: now, to: now}, err
	}
	data, err := repo.git(ctx, "cat-file", "blob", commit+":go.mod")
	if err != nil {
		return moduleRename{}, err
	}
	before := modfile.ModulePath(data)
	if before != now {
		fmt.Fprintf(g.out, "breaking: the module was %s there; its go_package is compared as %s\n", before, now)
	}
	return moduleRename{from: before, to: now}, nil
}

// image returns an image of the reference as it would be under the new path.
func (r moduleRename) image(data []byte) ([]byte, error) {
	if r.from == r.to {
		return data, nil
	}
	return schemaimage.RenameModule(data, r.from, r.to)
}
