package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/mod/semver"
)

// Promises are what docs/versioning.md says of the schemas of a release: whether
// a break of them can be waived at all.
type promises struct {
	// Stable packages may break: no release is 1.0.0 yet, and the change log tells
	// the users of the break under "Breaking".
	stable bool
}

// noPromises is for schemas that no release has.
var noPromises = promises{stable: true}

// readPromises reads what the version and the change log of a checkout allow. A
// file that isn't there allows nothing.
func readPromises(root string) (promises, error) {
	version, err := readIfThere(filepath.Join(root, "VERSION"))
	if err != nil {
		return promises{}, err
	}
	log, err := readIfThere(filepath.Join(root, "CHANGELOG.md"))
	if err != nil {
		return promises{}, err
	}
	version = "v" + strings.TrimSpace(version)
	return promises{
		stable: semver.IsValid(version) && semver.Compare(version, "v1.0.0") < 0 && tellsOfBreak(log),
	}, nil
}

func readIfThere(path string) (string, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(data), err
}

// tellsOfBreak reports whether a change log has something under "Breaking" that
// isn't released yet.
func tellsOfBreak(log string) bool {
	_, entry, found := strings.Cut(log, "\n## [Unreleased]\n")
	if !found {
		return false
	}
	entry, _, _ = strings.Cut(entry, "\n## ")
	_, entry, found = strings.Cut(entry, "\n### Breaking\n")
	if !found {
		return false
	}
	entry, _, _ = strings.Cut(entry, "\n### ")
	return strings.TrimSpace(entry) != ""
}

// allow reports whether a break of a package can be waived.
func (p promises) allow(pkg string) bool {
	return p.stable || unstable.MatchString(pkg)
}

// unstable matches packages that promise nothing, by their version: v1beta1.
var unstable = regexp.MustCompile(`(?:^|\.)v[1-9]\d*(?:alpha|beta)\d*$`)
