package mutation

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// A pair is a change of the schemas that a rule has to catch, and beside it the
// nearest one that has to pass. Where a side doesn't say which text it replaces,
// it is the same for both.
type pair struct {
	// The rule by its id.
	Rule string `yaml:"rule"`
	// Which of several pairs of the rule it is. Empty where there is one.
	Name string `yaml:"name"`
	// The schema that both sides change, relative to the module's directory.
	File string `yaml:"file"`
	// A text of that file from which on the others are looked for. Empty: from
	// its beginning.
	In string `yaml:"in"`
	// What is replaced.
	Replace string `yaml:"replace"`
	// What TestEffects sends across the change. None: the change isn't about what
	// an event holds.
	Event *event `yaml:"event"`

	Caught side `yaml:"caught"`
	Passes side `yaml:"passes"`

	command string // Of Buf: lint or breaking.
	source  string // The data file.
}

// A side is one of the two changes.
type side struct {
	// What is changed, for people.
	Change string `yaml:"change"`

	File    string `yaml:"file"`
	In      string `yaml:"in"`
	Replace string `yaml:"replace"`
	// What takes the place of what is replaced.
	With string `yaml:"with"`

	// Further replacements.
	And []replacement `yaml:"and"`
	// The file is deleted.
	Delete bool `yaml:"delete"`
	// New files with their text.
	Create map[string]string `yaml:"create"`
	// What TestEffects sends across this change. None: the pair's.
	Event *event `yaml:"event"`

	// Where the rule finds it: a text in the changed file, whose line is meant.
	// Empty: the file as a whole.
	At string `yaml:"at"`
	// The file that the finding is in, where it is another one than is changed;
	// "none" for what went with its file.
	AtFile string `yaml:"at_file"`
	// All that is found besides.
	Also []expectation `yaml:"also"`
}

type replacement struct {
	File    string `yaml:"file"`
	In      string `yaml:"in"`
	Replace string `yaml:"replace"`
	With    string `yaml:"with"`
}

// An expectation is a finding that the change leads to as well.
type expectation struct {
	Rule string `yaml:"rule"`
	File string `yaml:"file"`
	In   string `yaml:"in"`
	At   string `yaml:"at"`
}

func (p pair) title() string {
	if p.Name == "" {
		return p.Rule
	}
	return p.Rule + ": " + p.Name
}

// readPairs reads the data files of lint and breaking rules.
func readPairs(t *testing.T) []pair {
	t.Helper()
	var pairs []pair
	titles := map[string]bool{}
	for _, command := range []string{"lint", "breaking"} {
		names, err := filepath.Glob(filepath.Join("testdata", command, "*.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var read []pair
			decoder := yaml.NewDecoder(bytes.NewReader(data))
			decoder.KnownFields(true)
			if err := decoder.Decode(&read); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for _, p := range read {
				p.command, p.source = command, name
				p.Caught, p.Passes = p.Caught.inherit(p), p.Passes.inherit(p)
				if p.Rule == "" || p.Caught.Change == "" || p.Passes.Change == "" || titles[p.title()] {
					t.Fatalf("%s: %q lacks a rule or what it changes, or is there twice", name, p.title())
				}
				titles[p.title()] = true
				pairs = append(pairs, p)
			}
		}
	}
	return pairs
}

// inherit returns the side with what it leaves to the pair.
func (s side) inherit(p pair) side {
	if s.Event == nil {
		s.Event = p.Event
	}
	if s.File != "" && s.File != p.File {
		return s // Of another file, nothing of the pair's is meant.
	}
	s.File = p.File
	if s.In == "" {
		s.In = p.In
	}
	if s.Replace == "" && (s.With != "" || !s.Delete && len(s.Create) == 0) {
		s.Replace = p.Replace
	}
	return s
}

// apply makes the change in the schemas below dir.
func (s side) apply(dir string) error {
	replacements := s.And
	if s.Replace != "" {
		replacements = append([]replacement{{s.File, s.In, s.Replace, s.With}}, replacements...)
	}
	if len(replacements) == 0 && !s.Delete && len(s.Create) == 0 {
		return errors.New("the data file says no change")
	}
	for _, r := range replacements {
		if r.File == "" {
			r.File = s.File
		}
		if err := r.apply(dir); err != nil {
			return err
		}
	}
	file := filepath.Join(dir, filepath.FromSlash(s.File))
	if s.Delete {
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	for name, text := range s.Create {
		target := filepath.Join(dir, filepath.FromSlash(name))
		if _, err := os.Stat(target); err == nil {
			return fmt.Errorf("%s is there already", name)
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(target), 0o755), os.WriteFile(target, []byte(text), 0o600)); err != nil {
			return err
		}
	}
	return nil
}

func (r replacement) apply(dir string) error {
	path := filepath.Join(dir, filepath.FromSlash(r.File))
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text := string(data)
	start, err := find(r.File, text, r.In, r.Replace)
	if err != nil {
		return err
	}
	if r.With == r.Replace {
		return fmt.Errorf("%s: %q is replaced by itself", r.File, r.With)
	}
	return os.WriteFile(path, []byte(text[:start]+r.With+text[start+len(r.Replace):]), 0o600)
}

// find returns where text holds what is wanted: the only place, or the first one
// from that of in on, which is in it once. So nothing else is changed than what
// the reader of a data file thinks.
func find(file, text, in, want string) (int, error) {
	if in == "" {
		if n := strings.Count(text, want); n != 1 {
			return 0, fmt.Errorf("%s has %q %d times, want once", file, want, n)
		}
		return strings.Index(text, want), nil
	}
	if n := strings.Count(text, in); n != 1 {
		return 0, fmt.Errorf("%s has %q %d times, want once", file, in, n)
	}
	from := strings.Index(text, in)
	found := strings.Index(text[from:], want)
	if found < 0 {
		return 0, fmt.Errorf("%s has no %q after %q", file, want, in)
	}
	return from + found, nil
}
