package workspace

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// BufModules returns the directories of the modules that the buf.yaml in root
// names, relative to it.
func BufModules(root string) ([]string, error) {
	name := filepath.Join(root, "buf.yaml")
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var config struct {
		Modules []struct {
			Path string `yaml:"path"`
		} `yaml:"modules"`
	}
	if err := yaml.Unmarshal(data, &config); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	dirs := make([]string, 0, len(config.Modules))
	for _, module := range config.Modules {
		dirs = append(dirs, filepath.FromSlash(module.Path))
	}
	if len(dirs) == 0 { // As Buf reads it.
		dirs = append(dirs, ".")
	}
	return dirs, nil
}

// GoModules returns the directories of the Go modules below root, relative to it
// and in order: "." is that of root itself. Those of tests are left out.
func GoModules(root string) ([]string, error) {
	files, err := Files(root)
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, name := range files {
		if filepath.Base(name) == "go.mod" && !strings.Contains("/"+name, "/testdata/") {
			dirs = append(dirs, filepath.Dir(filepath.FromSlash(name)))
		}
	}
	return dirs, nil
}
