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

// A waived break is named as the gate prints it.
type waived struct {
	Rule   string `yaml:"rule"`
	Symbol string `yaml:"symbol"`
}

// A waiver is an entry of the list.
type waiver struct {
	waived `yaml:",inline"`

	// Why nobody is hurt.
	Reason string `yaml:"reason"`
	// The last day on which it counts, as 2006-01-02.
	Expires string `yaml:"expires"`
}

// readWaivers returns the entries by what they waive. A missing list is an empty
// one. An entry that has expired is an error, whether its finding is there or
// not: what was decided for a time has to be decided again, or to go.
func readWaivers(root string, today time.Time) (map[waived]waiver, error) {
	data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(waiverFile)))
	if errors.Is(err, fs.ErrNotExist) {
		return map[waived]waiver{}, nil
	} else if err != nil {
		return nil, err
	}
	var entries []waiver
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(&entries); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", waiverFile, err)
	}
	waivers := make(map[waived]waiver)
	var problems []error
	for i, entry := range entries {
		expires, err := time.Parse(time.DateOnly, entry.Expires)
		if err != nil || entry.Rule == "" || entry.Symbol == "" || entry.Reason == "" {
			problems = append(problems, fmt.Errorf(
				"%s: entry %d needs a rule, a symbol, a reason, and a date in expires", waiverFile, i+1))
			continue
		}
		if !today.Before(expires.AddDate(0, 0, 1)) {
			problems = append(problems, fmt.Errorf("%s: entry %d, of %s for %s, has expired on %s: undo the break or decide anew",
				waiverFile, i+1, entry.Rule, entry.Symbol, entry.Expires))
		}
		if _, twice := waivers[entry.waived]; twice {
			problems = append(problems, fmt.Errorf("%s: entry %d, of %s for %s, is there twice",
				waiverFile, i+1, entry.Rule, entry.Symbol))
		}
		waivers[entry.waived] = entry
	}
	return waivers, errors.Join(problems...)
}
