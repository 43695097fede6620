package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// legal are the names of the files that go with a program.
var legal = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)([.-].*)?$`)

// A license is a text and who gives it.
type license struct {
	text    string
	sources []string // Such as `golang.org/x/net v0.62.0, LICENSE`, in order.
}

// collect reads the legal files of packages: those in their own directories and
// above, up to the root of the module; for the standard library, those of the Go
// distribution. Texts that differ in white space only are one. It is an error if a
// package has none.
func collect(packages []goPackage, goRoot string) ([]license, error) {
	var problems []error
	byText := make(map[string]*license)
	seen := make(map[string]bool)
	for _, p := range packages {
		if p.Standard {
			p.Dir = goRoot // The same licence for all of it, whichever version builds the program.
		}
		if seen[p.Dir] {
			continue
		}
		seen[p.Dir] = true
		name, root := "Go", goRoot
		if !p.Standard {
			name, root = p.Module.Path+" "+p.Module.Version, p.Module.Dir
		}
		files, err := legalFiles(p.Dir, root)
		if err != nil {
			return nil, err
		}
		if len(files) == 0 {
			problems = append(problems, fmt.Errorf("%s: %s has no licence", name, p.Dir))
		}
		for _, file := range files {
			if err := add(byText, name, root, file); err != nil {
				return nil, err
			}
		}
	}
	var licenses []license
	for _, l := range byText {
		slices.Sort(l.sources)
		l.sources = slices.Compact(l.sources)
		licenses = append(licenses, *l)
	}
	slices.SortFunc(licenses, func(a, b license) int { return cmp.Compare(a.sources[0], b.sources[0]) })
	return licenses, errors.Join(problems...)
}

// legalFiles returns the paths of the legal files in a directory and above, up to root.
func legalFiles(dir, root string) ([]string, error) {
	if within, err := filepath.Rel(root, dir); err != nil || !filepath.IsLocal(within) {
		return nil, fmt.Errorf("%s isn't in %s", dir, root)
	}
	var files []string
	for ; ; dir = filepath.Dir(dir) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			if entry.Type().IsRegular() && legal.MatchString(entry.Name()) && filepath.Ext(entry.Name()) != ".go" {
				files = append(files, filepath.Join(dir, entry.Name()))
			}
		}
		if dir == root {
			return files, nil
		}
	}
}

func add(byText map[string]*license, name, root, file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	path, err := filepath.Rel(root, file)
	if err != nil {
		return err
	}
	text := tidy(data)
	key := strings.Join(strings.Fields(text), " ")
	if byText[key] == nil {
		byText[key] = &license{text: text}
	}
	l := byText[key]
	// Which of the same texts is shown must not depend on the order of packages.
	l.text = min(l.text, text)
	l.sources = append(l.sources, name+", "+filepath.ToSlash(path))
	return nil
}

// tidy returns a text without trailing space and without empty lines around it.
func tidy(data []byte) string {
	var lines []string
	for line := range bytes.Lines(data) {
		lines = append(lines, strings.TrimRight(string(line), " \t\r\n"))
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n")
}

func render(program string, licenses []license) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "What %s is made of besides this project, on Linux, macOS and Windows, and under which licences.\n", program)
	fmt.Fprint(&out, "Written by `make generate`, from what the go command links; goes with the program.\n")
	for _, l := range licenses {
		fmt.Fprintf(&out, "\n%s\n%s\n%s\n\n%s\n", strings.Repeat("=", 80), strings.Join(l.sources, "\n"), strings.Repeat("-", 80), l.text)
	}
	return out.Bytes()
}
