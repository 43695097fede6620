package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.yaml.in/yaml/v3"
)

// waiverFile lists the breaks that were decided on. Which of those of a release
// it can allow, promises say.
const waiverFile = baselineDir + "/waivers.yaml"

// A waived break is named as the gate prints it, or all breaks of a package are.
type waived struct {
	Rule   string `yaml:"rule"`
	Symbol string `yaml:"symbol"`

	// A whole package, in place of the rule and the symbol.
	Package string `yaml:"package"`
}

// complete reports whether it says what is waived, in one of the two ways.
func (w waived) complete() bool {
	if w.Package != "" {
		return w.Rule == "" && w.Symbol == ""
	}
	return w.Rule != "" && w.Symbol != ""
}

func (w waived) String() string {
	if w.Package != "" {
		return "package " + w.Package
	}
	return w.Rule + " for " + w.Symbol
}

// A waiver is an entry of the list.
type waiver struct {
	waived `yaml:",inline"`

	// Why nobody is hurt.
	Reason string `yaml:"reason"`
	// The last day on which it counts, as 2006-01-02.
	Expires string `yaml:"expires"`
}

// waivers are the entries by what they waive.
type waivers map[waived]waiver

// of returns the entry that waives a finding, the one for the finding alone first.
func (w waivers) of(f finding, symbol, pkg string) (waiver, bool) {
	entry, ok := w[waived{Rule: f.Rule, Symbol: symbol}]
	if !ok {
		entry, ok = w[waived{Package: pkg}]
	}
	return entry, ok
}

// checkPackages fails for each entry of a package that isn't among those given.
func (w waivers) checkPackages(known map[string]bool) error {
	var problems []error
	for what := range w {
		if what.Package != "" && !known[what.Package] {
			problems = append(problems, fmt.Errorf("%s: there is no package %s, and there was none: "+
				"correct its name, or remove the entry", waiverFile, what.Package))
		}
	}
	return errors.Join(problems...)
}

// readWaivers returns the entries of the list. A missing list is an empty one. An
// entry that has expired is an error, whether its finding is there or not: what
// was decided for a time has to be decided again, or to go.
func readWaivers(root string, today time.Time) (waivers, error) {
	data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(waiverFile)))
	if errors.Is(err, fs.ErrNotExist) {
		return waivers{}, nil
	} else if err != nil {
		return nil, err
	}
	var entries []waiver
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(&entries); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", waiverFile, err)
	}
	read := make(waivers)
	var problems []error
	for i, entry := range entries {
		expires, err := time.Parse(time.DateOnly, entry.Expires)
		if err != nil || !entry.complete() || entry.Reason == "" {
			problems = append(problems, fmt.Errorf(
				"%s: entry %d needs a rule and a symbol, or a package, a reason, and a date in expires", waiverFile, i+1))
			continue
		}
		if !today.Before(expires.AddDate(0, 0, 1)) {
			problems = append(problems, fmt.Errorf("%s: entry %d, of %s, has expired on %s: undo the break or decide anew",
				waiverFile, i+1, entry.waived, entry.Expires))
		}
		if _, twice := read[entry.waived]; twice {
			problems = append(problems, fmt.Errorf("%s: entry %d, of %s, is there twice", waiverFile, i+1, entry.waived))
		}
		read[entry.waived] = entry
	}
	return read, errors.Join(problems...)
}
