package main

import (
	"context"
	"fmt"

	"golang.org/x/mod/modfile"

	"example.com/tidings/tools/internal/schemaimage"
	"example.com/tidings/tools/internal/upstream"
	"example.com/tidings/tools/internal/workspace"
)

// A moduleRename says that the Go module was called something else at the
// reference: an adopter gave it a path of their own. That changes the go_package
// and the java_package of every file and breaks nobody, because a module with the
// new path has no importers yet. After a merge from upstream, some files have the
// path that they have there.
type moduleRename struct {
	from []string
	to   string
}

// renamedSince tells what the module was called at a commit, and where it comes
// from. If the commit had no go.mod, nothing was renamed.
func (g gate) renamedSince(ctx context.Context, repo repository, commit string) (moduleRename, error) {
	now, err := workspace.ModulePath(g.root)
	if err != nil {
		return moduleRename{}, err
	}
	rename := moduleRename{to: now}
	if rename.from, err = upstream.Paths(g.root); err != nil {
		return moduleRename{}, err
	}
	there, err := repo.has(ctx, commit, "go.mod")
	if err != nil || !there {
		return rename, err
	}
	data, err := repo.git(ctx, "cat-file", "blob", commit+":go.mod")
	if err != nil {
		return moduleRename{}, err
	}
	if before := modfile.ModulePath(data); before != now {
		fmt.Fprintf(g.out, "breaking: the module was %s there; its packages of Go and Java are compared as those of %s\n", before, now)
		rename.from = append(rename.from, before)
	}
	return rename, nil
}

// image returns an image of the reference as it would be under the new path.
func (r moduleRename) image(data []byte) ([]byte, error) {
	for _, from := range r.from {
		if from == r.to {
			continue
		}
		var err error
		if data, err = schemaimage.RenameModule(data, from, r.to); err != nil {
			return nil, err
		}
	}
	return data, nil
}
