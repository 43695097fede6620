package scaffold

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/mod/module"
)

// checkModule says what is wrong with the path of a module.
func checkModule(name string) error {
	if strings.Contains(name, ":") {
		return fmt.Errorf("%q is the address of a repository; the path of its module has the form git.example.org/acme/events", name)
	}
	// What is wrong first, for errors of the package repeat the path.
	err := module.CheckPath(name)
	if invalid, ok := errors.AsType[*module.InvalidPathError](err); ok {
		err = invalid.Err
	}
	if err == nil && !strings.Contains(name, "/") {
		err = errors.New("there is no name behind the host")
	}
	if err != nil {
		return fmt.Errorf("%q is not a module path: %w; it has the form git.example.org/acme/events", name, err)
	}
	return nil
}

// elements are the host of the module and what follows it, without a version.
func (r Repository) elements() (host string, rest []string) {
	prefix, _, _ := module.SplitPathVersion(r.Module)
	all := strings.Split(prefix, "/")
	return all[0], all[1:]
}

// Tools is the path of the module of the tools.
func (r Repository) Tools() string {
	prefix, _, _ := module.SplitPathVersion(r.Module)
	return path.Join(prefix, "tools")
}

// Address is where Git is expected to have the repository.
func (r Repository) Address() string {
	prefix, _, _ := module.SplitPathVersion(r.Module)
	return "https://" + strings.TrimSuffix(prefix, ".git") + ".git"
}

// Release is the first version of the module.
func (r Repository) Release() string {
	major := "v1"
	if _, later, _ := module.SplitPathVersion(r.Module); later != "" {
		major = strings.TrimLeft(later, "/.")
	}
	return major + ".0.0"
}

// unusable can't be part of the path of a package that others import: Go keeps
// the first three for itself.
var unusable = []string{"internal", "testdata", "vendor", ""}

// Organization is the first part of the names of its protobuf packages: the element
// of the path before the last or, where there is none, the label of the host before
// its last.
func (r Repository) Organization() string {
	host, rest := r.elements()
	labels := strings.Split(host, ".")
	name := labels[max(0, len(labels)-2)]
	if len(rest) > 1 {
		name = rest[len(rest)-2]
	}
	name = strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(name), "_"), "_")
	if slices.Contains(unusable, name) {
		return "example"
	}
	if name[0] >= '0' && name[0] <= '9' { // No identifier begins with one.
		name = "org" + name
	}
	return name
}
