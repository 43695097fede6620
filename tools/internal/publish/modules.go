// Package publish makes of the checkout's Go modules what others import and
// install. Here they replace each other by their directories, so that a change of
// several is one change; `go install` refuses a module that replaces anything. So
// what is published is a commit of its own, beside the branch: the release, with
// go.mod files that require the other modules at the version of the release.
package publish

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"

	"example.com/tidings/tools/internal/workspace"
)

// private are the directories of the modules that have nothing to import or to
// install. All others are published, and require none of these.
var private = []string{"benchmark", "examples/events/tools", "examples/github-webhooks", "interop", "server/publicschemas", "tools/linters", "tools/openapitest"}

// A Module is one that is published.
type Module struct {
	module.Version

	// Dir is its directory in the repository, with slashes; "" is the root.
	Dir string
}

// Tag is the tag by which the go command finds this version of the module.
func (m Module) Tag() string { return path.Join(m.Dir, m.Version.Version) }

// source is a module as it stands in the checkout.
type source struct {
	Module
	file *modfile.File
}

// Modules returns the modules of the checkout at root that are published, with a
// version such as v1.2.3: the root first, and each after those that it requires.
func Modules(root, version string) ([]Module, error) {
	sources, err := read(root, version)
	if err != nil {
		return nil, err
	}
	modules := make([]Module, 0, len(sources))
	for _, s := range sources {
		modules = append(modules, s.Module)
	}
	return modules, nil
}

// read reads the go.mod files of what is published, in the order of Modules.
func read(root, version string) ([]source, error) {
	dirs, err := workspace.GoModules(root)
	if err != nil {
		return nil, err
	}
	rootPath, err := workspace.ModulePath(root)
	if err != nil {
		return nil, err
	}
	sources := make(map[string]source)
	for _, dir := range dirs {
		name := filepath.Join(root, dir, "go.mod")
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		file, err := modfile.Parse(name, data, nil)
		if err != nil {
			return nil, err
		}
		s := source{file: file}
		if dir != "." {
			s.Dir = filepath.ToSlash(dir)
		}
		s.Version = module.Version{Path: file.Module.Mod.Path, Version: version}
		if want := path.Join(rootPath, s.Dir); s.Path != want {
			return nil, fmt.Errorf("%s: the module is %s; the go command looks for %s there", name, s.Path, want)
		}
		sources[s.Path] = s
	}
	return order(sources)
}

// order sorts modules so that each comes after those of them that it requires, and
// leaves out the private ones.
func order(sources map[string]source) ([]source, error) {
	var sorted []source
	state := make(map[string]int) // 1: begun, 2: done.
	var visit func(s source) error
	visit = func(s source) error {
		switch state[s.Path] {
		case 1:
			return fmt.Errorf("the module %s requires itself by way of others", s.Path)
		case 2:
			return nil
		}
		state[s.Path] = 1
		for _, required := range s.file.Require {
			other, ours := sources[required.Mod.Path]
			if ours && isPrivate(other) {
				return fmt.Errorf("the module in %s requires that in %s, which isn't published", s.Dir, other.Dir)
			} else if ours {
				if err := visit(other); err != nil {
					return err
				}
			}
		}
		state[s.Path] = 2
		sorted = append(sorted, s)
		return nil
	}
	paths := make([]string, 0, len(sources))
	for p := range sources {
		paths = append(paths, p)
	}
	slices.Sort(paths) // The root is the first: the paths of all others begin with its.
	for _, p := range paths {
		if s := sources[p]; !isPrivate(s) {
			if err := visit(s); err != nil {
				return nil, err
			}
		}
	}
	return sorted, nil
}

func isPrivate(s source) bool { return slices.Contains(private, s.Dir) }
