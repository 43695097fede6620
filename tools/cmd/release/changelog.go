package main

import (
	"errors"
	"regexp"
	"strings"
)

// changeLog is the file that tells users what changed.
const changeLog = "CHANGELOG.md"

const unreleased = "## [Unreleased]\n"

// released finds the headings of releases, the newest first.
var released = regexp.MustCompile(`(?m)^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d{2}-\d{2}$`)

// newestEntry returns the version of the newest release in a change log.
func newestEntry(log string) (string, error) {
	match := released.FindStringSubmatch(log)
	if match == nil {
		return "", errors.New(changeLog + " has no entry of a release")
	}
	return match[1], nil
}

// releaseEntry makes what wasn't released the entry of a version, and starts
// anew.
func releaseEntry(log, version, day string) (string, error) {
	before, after, found := strings.Cut(log, unreleased)
	if !found {
		return "", errors.New(changeLog + ` has no heading "## [Unreleased]"`)
	}
	entry, _, _ := strings.Cut(after, "\n## ")
	if !says(entry) {
		return "", errors.New(changeLog + " says of nothing that it changed: [Unreleased] is empty")
	}
	return before + unreleased + "\n## [" + version + "] - " + day + "\n" + after, nil
}

// says reports whether an entry has more than headings.
func says(entry string) bool {
	for line := range strings.Lines(entry) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			return true
		}
	}
	return false
}
