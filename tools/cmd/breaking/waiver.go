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

// waiverFile lists the breaks of what main had, and no release has, that were
// decided on. It has no say in the comparison with a release.
const waiverFile = baselineDir + "/waivers.yaml"

// A waiver is an entry of the list.
type waiver struct {
	// What the gate prints, without line and column: "PATH: RULE: MESSAGE".
	Finding string `yaml:"finding"`
	// Why nobody is hurt.
	Reason string `yaml:"reason"`
	// The last day on which it counts, as 2006-01-02.
	Expires string `yaml:"expires"`
}

// readWaivers returns the entries that count on a day, by their finding. A
// missing list is an empty one.
func readWaivers(root string, today time.Time) (map[string]waiver, error) {
	data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(waiverFile)))
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]waiver{}, nil
	} else if err != nil {
		return nil, err
	}
	var entries []waiver
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(&entries); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", waiverFile, err)
	}
	counting := make(map[string]waiver)
	for i, entry := range entries {
		expires, err := time.Parse(time.DateOnly, entry.Expires)
		if err != nil || entry.Finding == "" || entry.Reason == "" {
			return nil, fmt.Errorf("%s: entry %d needs a finding, a reason, and a date in expires", waiverFile, i+1)
		}
		if today.Before(expires.AddDate(0, 0, 1)) {
			counting[entry.Finding] = entry
		}
	}
	return counting, nil
}
