package workspace

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
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

// modulesSection is the part of a buf.yaml that names the modules.
var modulesSection = regexp.MustCompile(`(?m)^modules:\n(?:[ #].*\n)+`)

// OneModule returns a buf.yaml of several modules as one for the same schemas in
// a single module, the directory dir. It is for tests that put together what they
// need. A module that has rules of its own is an error: they would be lost.
func OneModule(config, dir string) (string, error) {
	var named struct {
		Modules []map[string]any `yaml:"modules"`
	}
	if err := yaml.Unmarshal([]byte(config), &named); err != nil {
		return "", fmt.Errorf("buf.yaml: %w", err)
	}
	for _, module := range named.Modules {
		for key := range module {
			if key != "path" && key != "name" {
				return "", fmt.Errorf("buf.yaml: the module %v has %s of its own, and the rules are one for all", module["path"], key)
			}
		}
	}
	if n := len(modulesSection.FindAllString(config, -1)); n != 1 {
		return "", fmt.Errorf("buf.yaml has %d sections of modules, want 1", n)
	}
	return modulesSection.ReplaceAllLiteralString(config, "modules:\n  - path: "+dir+"\n"), nil
}
