// Package upstream knows what an adopted repository was called where it comes
// from: what is merged from there has those names, until it is renamed too.
package upstream

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// File holds the module paths, one a line. Only a repository that was renamed has
// it.
const File = ".upstream"

const head = `# The paths that the Go module had where this repository comes from. After a merge
# from there, make module gives what came in the path that go.mod has here.
`

// Paths returns the module paths that the repository at root had before.
func Paths(root string) ([]string, error) {
	data, err := os.ReadFile(filepath.Join(root, File))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var paths []string
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			paths = append(paths, line)
		}
	}
	return paths, nil
}

// Write records the module paths that the repository at root had before.
func Write(root string, paths []string) error {
	return os.WriteFile(filepath.Join(root, File), []byte(head+strings.Join(paths, "\n")+"\n"), 0o644)
}
