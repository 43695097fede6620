package main

import (
	"slices"
	"strings"
)

const cargoPackage = "[[package]]\n"

// sortCargoLock puts the packages of a Cargo.lock, and what each depends on, in the
// order that Cargo keeps and insists on where a lock file must not change.
func sortCargoLock(data []byte) []byte {
	parts := strings.Split(string(data), cargoPackage)
	packages := parts[1:]
	for i, p := range packages {
		// They end in an empty line, but for the last, which may have become another.
		packages[i] = sortDependencies(strings.TrimRight(p, "\n") + "\n")
	}
	slices.SortStableFunc(packages, func(a, b string) int { return strings.Compare(cargoName(a), cargoName(b)) })
	var out strings.Builder
	out.WriteString(strings.TrimRight(parts[0], "\n") + "\n")
	for _, p := range packages {
		out.WriteString("\n" + cargoPackage + p)
	}
	return []byte(out.String())
}

// cargoName is the name of a package, its first line.
func cargoName(entry string) string {
	line, _, _ := strings.Cut(entry, "\n")
	return strings.Trim(strings.TrimPrefix(line, "name = "), `"`)
}

// sortDependencies sorts the list of a package.
func sortDependencies(entry string) string {
	const start, end = "\ndependencies = [\n", "]\n"
	before, rest, found := strings.Cut(entry, start)
	if !found {
		return entry
	}
	list, after, _ := strings.Cut(rest, end)
	lines := slices.Collect(strings.Lines(list))
	slices.Sort(lines)
	return before + start + strings.Join(lines, "") + end + after
}
