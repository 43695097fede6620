package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/semver"
)

const (
	baselineDir       = "baseline"
	baselineExtension = ".binpb"
)

// newestBaseline returns the path, relative to root, of the image with the
// highest version in the baseline directory.
func newestBaseline(root string) (string, error) {
	paths, err := filepath.Glob(filepath.Join(root, baselineDir, "*"+baselineExtension))
	if err != nil {
		return "", err
	}
	var newest string
	for _, path := range paths {
		version := strings.TrimSuffix(filepath.Base(path), baselineExtension)
		if semver.Canonical(version) != version {
			return "", fmt.Errorf("%s: the name is not vMAJOR.MINOR.PATCH", path)
		}
		if newest == "" || semver.Compare(version, newest) > 0 {
			newest = version
		}
	}
	if newest == "" {
		return "", fmt.Errorf("%s holds no image of a release, so nothing holds the schemas to one; "+
			"Git has those that were there", filepath.Join(root, baselineDir))
	}
	return filepath.Join(baselineDir, newest+baselineExtension), nil
}

// checkReleasesKept fails if the image of a release that a commit holds was
// changed or removed since: it would no longer hold anybody to that release.
func (g gate) checkReleasesKept(ctx context.Context, repo repository, commit string, rename moduleRename) error {
	listing, err := repo.git(ctx, "ls-tree", "-r", "--name-only", commit, "--", baselineDir+"/")
	if err != nil {
		return err
	}
	var problems []error
	for name := range strings.FieldsSeq(string(listing)) {
		if filepath.Ext(name) != baselineExtension {
			continue
		}
		before, err := repo.git(ctx, "cat-file", "blob", commit+":"+name)
		if err != nil {
			return err
		}
		if before, err = rename.image(before); err != nil {
			return fmt.Errorf("%s at %s: %w", name, commit, err)
		}
		now, err := os.ReadFile(filepath.Join(g.root, filepath.FromSlash(name)))
		if err != nil {
			problems = append(problems, fmt.Errorf("the image of a release is gone: %w", err))
		} else if !bytes.Equal(before, now) {
			problems = append(problems, fmt.Errorf("%s: the image of a release was changed since %.12s", name, commit))
		}
	}
	return errors.Join(problems...)
}
