// Package changelog reads what a change log in the form of Keep a Changelog tells
// of breaks.
package changelog

import (
	"regexp"
	"strings"
)

const (
	// File is where it is, relative to the root of the checkout.
	File = "CHANGELOG.md"
	// Unreleased is the name of the entry for what no release has.
	Unreleased = "Unreleased"
)

// An Entry tells of one release.
type Entry struct {
	Name string // Its version, or Unreleased.
	Text string
}

// heading matches the first line of an entry. The group is its name.
var heading = regexp.MustCompile(`^\[([^\]]+)\]`)

// Entries returns the entries of a change log in their order, which is newest
// first.
func Entries(log string) (entries []Entry) {
	for _, text := range strings.Split("\n"+log, "\n## ")[1:] {
		if name := heading.FindStringSubmatch(text); name != nil {
			entries = append(entries, Entry{Name: name[1], Text: text})
		}
	}
	return entries
}

// Breaks reports whether an entry has something under "Breaking".
func (e Entry) Breaks() bool {
	_, breaking, found := strings.Cut(e.Text, "\n### Breaking\n")
	breaking, _, _ = strings.Cut(breaking, "\n### ")
	return found && strings.TrimSpace(breaking) != ""
}
