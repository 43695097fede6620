// Package client knows the clients: what each one's interop.yaml says.
package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"example.com/tidings/interop/internal/scenario"
)

// File is the name of the file that makes a directory one of a client.
const File = "interop.yaml"

// Transports are those that a client can have.
var Transports = []string{"grpc", "connect", "connect-json", "grpc-web"}

// A Client is what its file says; README.md in the module's root says what each
// field means.
type Client struct {
	Language      string            `yaml:"language"`
	Runtime       string            `yaml:"runtime"`
	Package       string            `yaml:"package"`
	Install       string            `yaml:"install"`
	Debian        []string          `yaml:"debian"`
	Build         string            `yaml:"build"`
	Run           string            `yaml:"run"`
	Transports    []string          `yaml:"transports"`
	Example       string            `yaml:"example"`
	Consumer      string            `yaml:"consumer"`
	Access        Access            `yaml:"access"`
	NotApplicable map[string]string `yaml:"not_applicable"`

	// Name is that of the directory, and Dir its path.
	Name string `yaml:"-"`
	Dir  string `yaml:"-"`
}

// Access is a program that publishes with a credential; none where Run is empty.
type Access struct {
	Run     string `yaml:"run"`
	Example string `yaml:"example"`
}

// LoadAll returns the clients in the directories of root, in the order of their
// names.
func LoadAll(root string) ([]Client, error) {
	paths, err := filepath.Glob(filepath.Join(root, "*", File))
	if err != nil {
		return nil, err
	}
	var clients []Client
	languages := make(map[string]string)
	for _, path := range paths {
		c, err := Load(filepath.Dir(path))
		if err != nil {
			return nil, err
		}
		if other := languages[c.Language]; other != "" {
			return nil, fmt.Errorf("%s: language: %s has %q already", path, other, c.Language)
		}
		languages[c.Language] = path
		clients = append(clients, c)
	}
	return clients, nil
}

// Load returns the client in a directory. Its errors name the file and, where it
// isn't what the file lacks, the line.
func Load(dir string) (Client, error) {
	path := filepath.Join(dir, File)
	c := Client{Name: filepath.Base(dir), Dir: dir}
	if err := ReadYAML(path, &c); err != nil {
		return Client{}, err
	}
	if err := c.validate(); err != nil {
		return Client{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// ReadYAML reads a file with one document, and no field that value doesn't have.
// Its errors name the file and, where it isn't what the file lacks, the line.
func ReadYAML(path string, value any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(value); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: more than one document", path)
	}
	return nil
}

var (
	// directory is a name that topics can be named after.
	directory = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`)
	// debianPackage is a name of a package of Debian, which can't be taken for an
	// option of apt-get.
	debianPackage = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`)
)

func (c Client) validate() error {
	if !directory.MatchString(c.Name) {
		return fmt.Errorf("the directory %q is not named by small letters, digits and hyphens, at most 31", c.Name)
	}
	for _, field := range []struct{ name, value string }{
		{"language", c.Language},
		{"runtime", c.Runtime},
		{"package", c.Package},
		{"install", c.Install},
		{"run", c.Run},
		{"example", c.Example},
	} {
		if strings.TrimSpace(field.value) == "" {
			return fmt.Errorf("%s: missing", field.name)
		}
	}
	// They stand in a table of docs/languages.md.
	for _, field := range []struct{ name, value string }{
		{"language", c.Language},
		{"runtime", c.Runtime},
		{"package", c.Package},
		{"install", c.Install},
	} {
		if strings.ContainsAny(field.value, "|\n") {
			return fmt.Errorf("%s: %q has a | or a line break", field.name, field.value)
		}
	}
	for _, field := range []struct{ name, value string }{{"example", c.Example}, {"consumer", c.Consumer}, {"access.example", c.Access.Example}} {
		if field.value != "" && !filepath.IsLocal(field.value) {
			return fmt.Errorf("%s: %q is not in the directory", field.name, field.value)
		}
	}
	if (c.Access.Run == "") != (c.Access.Example == "") {
		return errors.New("access: run and example are of no use without each other")
	}
	for _, name := range c.Debian {
		if !debianPackage.MatchString(name) {
			return fmt.Errorf("debian: %q is not the name of a package", name)
		}
	}
	if err := CheckTransports(c.Transports); err != nil {
		return err
	}
	for step, reason := range c.NotApplicable {
		if !scenario.IsStep(step) {
			return fmt.Errorf("not_applicable: %q is not one of %q", step, scenario.Steps)
		}
		if strings.TrimSpace(reason) == "" {
			return fmt.Errorf("not_applicable: %s: no reason", step)
		}
	}
	return nil
}

// CheckTransports wants the field transports to be in order.
func CheckTransports(transports []string) error {
	if len(transports) == 0 {
		return errors.New("transports: missing")
	}
	for i, transport := range transports {
		if !slices.Contains(Transports, transport) || slices.Contains(transports[:i], transport) {
			return fmt.Errorf("transports: %q is not one of %q, or there twice", transport, Transports)
		}
	}
	return nil
}
