// Package known reads files of known failures.
package known

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"example.com/tidings/conformance/internal/suite"
	"example.com/tidings/conformance/internal/wire"
)

// Entry is a line of the file: which cases fail, and why.
type Entry struct {
	// Pattern is compared with the names of cases or, with Calls, with those of the
	// RPCs that a case calls.
	Pattern Pattern
	Calls   bool
	// Transports is compared with the names of transports.
	Transports Pattern
	Reason     string
	// Place is the file and the line.
	Place string
}

// List is the entries of a file.
type List []Entry

// line matches `[calls] PATTERN [on TRANSPORT]: REASON`.
var line = regexp.MustCompile(`^(calls\s+)?(\S+?)(?:\s+on\s+(\S+?))?:\s+(\S.*)$`)

// Read reads a file. Empty lines and those that begin with # say nothing.
func Read(path string) (List, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // It was only read.
	var list List
	var mistakes []error
	scanner := bufio.NewScanner(file)
	for number := 1; scanner.Scan(); number++ {
		text := strings.TrimSpace(scanner.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		place := fmt.Sprintf("%s:%d", filepath.Base(path), number)
		found := line.FindStringSubmatch(text)
		if found == nil {
			mistakes = append(mistakes, fmt.Errorf("%s: %q is not of the form `PATTERN: REASON`, `PATTERN on TRANSPORT: REASON` or `calls PATTERN: REASON`", place, text))
			continue
		}
		transports := found[3]
		if transports == "" {
			transports = "*"
		}
		list = append(list, Entry{NewPattern(found[2]), found[1] != "", NewPattern(transports), found[4], place})
	}
	return list, errors.Join(append(mistakes, scanner.Err())...)
}

// Find returns the first entry that says that a case fails over a transport, or
// nil.
func (l List) Find(c *suite.Case, transport wire.Transport) *Entry {
	for i, entry := range l {
		if entry.matches(c) && entry.Transports.Match(transport.String()) {
			return &l[i]
		}
	}
	return nil
}

// Check says which entries are about no case at all: they are misspelt, or the
// case has another name now.
func (l List) Check(cases []suite.Case) error {
	var mistakes []error
	for _, entry := range l {
		found := false
		for i := range cases {
			found = found || entry.matches(&cases[i])
		}
		if !found {
			mistakes = append(mistakes, fmt.Errorf("%s: %s is about no case", entry.Place, entry.Pattern))
		}
		found = false
		for _, transport := range wire.Transports() {
			found = found || entry.Transports.Match(transport.String())
		}
		if !found {
			mistakes = append(mistakes, fmt.Errorf("%s: there is no transport %s", entry.Place, entry.Transports))
		}
	}
	return errors.Join(mistakes...)
}

func (e Entry) matches(c *suite.Case) bool {
	if !e.Calls {
		return e.Pattern.Match(c.Name)
	}
	return slices.ContainsFunc(c.Calls(), e.Pattern.Match)
}

// Pattern is a name in which `*` stands for any text.
type Pattern struct {
	text       string
	expression *regexp.Regexp
}

// NewPattern returns the pattern of a text.
func NewPattern(text string) Pattern {
	quoted := strings.ReplaceAll(regexp.QuoteMeta(text), `\*`, `.*`)
	return Pattern{text, regexp.MustCompile("^" + quoted + "$")}
}

// Match reports whether a name is meant.
func (p Pattern) Match(name string) bool { return p.expression.MatchString(name) }

func (p Pattern) String() string { return p.text }
