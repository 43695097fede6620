package publish

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/module"
)

// A sum is what go.sum says of a module: the hashes of its files and of its go.mod.
type sum struct{ zip, mod string }

// edit writes the go.mod and go.sum of a module as they are published, given the
// sums of all modules that it may require, by their paths.
func (s source) edit(root string, sums map[string]sum) error {
	for _, replaced := range slices.Clone(s.file.Replace) {
		if _, ours := sums[replaced.Old.Path]; !ours {
			return fmt.Errorf("%s/go.mod replaces %s, so nobody could install from it", s.Dir, replaced.Old.Path)
		}
		if err := s.file.DropReplace(replaced.Old.Path, replaced.Old.Version); err != nil {
			return err
		}
	}
	required := make(map[string]sum)
	for _, r := range slices.Clone(s.file.Require) {
		if hashes, ours := sums[r.Mod.Path]; ours {
			required[r.Mod.Path] = hashes
			if err := s.file.AddRequire(r.Mod.Path, s.Version.Version); err != nil {
				return err
			}
		}
	}
	if len(required) == 0 {
		return nil
	}
	s.file.Cleanup()
	data, err := s.file.Format()
	if err != nil {
		return err
	}
	dir := filepath.Join(root, filepath.FromSlash(s.Dir))
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), data, 0o644); err != nil {
		return err
	}
	name := filepath.Join(dir, "go.sum")
	lines, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.WriteFile(name, []byte(withSums(string(lines), s.Version.Version, required)), 0o644)
}

// withSums returns a go.sum with the sums of modules at a version, in the order
// that the go command keeps.
func withSums(text, version string, sums map[string]sum) string {
	var versions []module.Version
	hashes := make(map[module.Version]string)
	add := func(path, version, hash string) {
		v := module.Version{Path: path, Version: version}
		versions, hashes[v] = append(versions, v), hash
	}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			continue
		}
		if _, ours := sums[fields[0]]; !ours {
			add(fields[0], fields[1], fields[2])
		}
	}
	for path, s := range sums {
		add(path, version, s.zip)
		add(path, version+"/go.mod", s.mod)
	}
	module.Sort(versions)
	var out strings.Builder
	for _, v := range versions {
		fmt.Fprintf(&out, "%s %s %s\n", v.Path, v.Version, hashes[v])
	}
	return out.String()
}
