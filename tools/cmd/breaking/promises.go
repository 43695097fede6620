package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/mod/semver"

	"example.com/tidings/tools/internal/changelog"
)

const (
	changeLog   = changelog.File
	versionFile = "VERSION"
)

// Promises are what docs/versioning.md says of the schemas that are compared with:
// which breaks of them can be waived at all.
type promises struct {
	// A release has them. What none has yet can be waived break by break.
	released bool
	// Stable packages may break: no release is 1.0.0 yet, and the change log tells
	// the users of the break under "Breaking".
	told bool
}

// readPromises reads what the version and the change log of a checkout allow for
// the schemas of the newest release. A file that isn't there allows nothing.
func readPromises(root string) (promises, error) {
	before1, log, err := readState(root)
	return promises{released: true, told: before1 && tellsOfBreak(log, names(log))}, err
}

// promisesSince reads what is allowed for the schemas of a commit. A release that
// the commit doesn't have yet tells of breaks since then too, so that a change may
// end in the release that announces it.
func (g gate) promisesSince(ctx context.Context, repo repository, commit string) (promises, error) {
	before1, log, err := readState(g.root)
	if err != nil {
		return promises{}, err
	}
	var old []byte
	if there, err := repo.has(ctx, commit, changeLog); err != nil {
		return promises{}, err
	} else if there {
		if old, err = repo.git(ctx, "cat-file", "blob", commit+":"+changeLog); err != nil {
			return promises{}, err
		}
	}
	return promises{told: before1 && tellsOfBreak(log, names(string(old)))}, nil
}

// readState reads whether the checkout is of a version below 1.0.0, and its
// change log.
func readState(root string) (before1 bool, log string, err error) {
	version, err := readIfThere(filepath.Join(root, versionFile))
	if err != nil {
		return false, "", err
	}
	log, err = readIfThere(filepath.Join(root, changeLog))
	version = "v" + strings.TrimSpace(version)
	return semver.IsValid(version) && semver.Compare(version, "v1.0.0") < 0, log, err
}

func readIfThere(path string) (string, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(data), err
}

// names are those of the entries of a change log.
func names(log string) []string {
	var all []string
	for _, entry := range changelog.Entries(log) {
		all = append(all, entry.Name)
	}
	return all
}

// tellsOfBreak reports whether a change log has something under "Breaking" that
// isn't released yet, or in an entry that an earlier state of it doesn't have.
func tellsOfBreak(log string, earlier []string) bool {
	return slices.ContainsFunc(changelog.Entries(log), func(entry changelog.Entry) bool {
		old := entry.Name != changelog.Unreleased && slices.Contains(earlier, entry.Name)
		return !old && entry.Breaks()
	})
}

// allow reports whether an entry of the list can waive a break of a package.
func (p promises) allow(what waived, pkg string) bool {
	return p.told || unstable.MatchString(pkg) || !p.released && what.Package == ""
}

// reason says why an entry can't waive a break.
func (p promises) reason() string {
	if p.released {
		return "a release promised this; see docs/versioning.md"
	}
	return "a whole package is waived only until 1.0.0, and while " + changeLog + ` tells of the break under "Breaking"`
}

// unstable matches packages that promise nothing, by their version: v1beta1.
var unstable = regexp.MustCompile(`(?:^|\.)v[1-9]\d*(?:alpha|beta)\d*$`)
