// Package reference knows the reference servers: what each one's server.yaml says.
package reference

import (
	"fmt"
	"path/filepath"
	"strings"

	"example.com/tidings/interop/internal/client"
)

// File is the name of the file that makes a directory one of a server.
const File = "server.yaml"

// A Server is what its file says; README.md in the module's root says what each
// field means.
type Server struct {
	Language     string   `yaml:"language"`
	Runtime      string   `yaml:"runtime"`
	Build        string   `yaml:"build"`
	Run          string   `yaml:"run"`
	Transports   []string `yaml:"transports"`
	KnownFailing string   `yaml:"known_failing"`

	// Name is that of the directory, and Dir its path.
	Name string `yaml:"-"`
	Dir  string `yaml:"-"`
}

// LoadAll returns the servers in the directories of root, in the order of their
// names.
func LoadAll(root string) ([]Server, error) {
	paths, err := filepath.Glob(filepath.Join(root, "*", File))
	if err != nil {
		return nil, err
	}
	var servers []Server
	for _, path := range paths {
		s, err := Load(filepath.Dir(path))
		if err != nil {
			return nil, err
		}
		servers = append(servers, s)
	}
	return servers, nil
}

// Load returns the server in a directory. Its errors name the file and, where it
// isn't what the file lacks, the line.
func Load(dir string) (Server, error) {
	path := filepath.Join(dir, File)
	s := Server{Name: filepath.Base(dir), Dir: dir}
	if err := client.ReadYAML(path, &s); err != nil {
		return Server{}, err
	}
	if err := s.validate(); err != nil {
		return Server{}, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

func (s Server) validate() error {
	for _, field := range []struct{ name, value string }{
		{"language", s.Language},
		{"runtime", s.Runtime},
		{"run", s.Run},
	} {
		if strings.TrimSpace(field.value) == "" {
			return fmt.Errorf("%s: missing", field.name)
		}
	}
	if s.KnownFailing != "" && !filepath.IsLocal(s.KnownFailing) {
		return fmt.Errorf("known_failing: %q is not in the directory", s.KnownFailing)
	}
	return client.CheckTransports(s.Transports)
}
