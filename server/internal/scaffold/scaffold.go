// Package scaffold writes a schema repository: the declarations of somebody's
// events, with what guards them and generates code from them.
package scaffold

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"

	"example.com/tidings"
)

//go:embed all:template
var files embed.FS

// Repository says what is written.
type Repository struct {
	// Module is the path of its Go module.
	Module string
	// Version is the release of Tidings that it uses, without a leading v.
	Version string
}

// modulePath is a Go module path that a version control host can have: a domain
// and at least one element, in characters that import paths may have.
var modulePath = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)+(/[A-Za-z0-9._~-]+)+$`)

// New returns the repository of a module, or why it can't have that path.
func New(module, version string) (Repository, error) {
	if !modulePath.MatchString(module) || path.Clean(module) != module {
		return Repository{}, fmt.Errorf("%q is not a module path: it has the form git.example.org/acme/events", module)
	}
	return Repository{Module: module, Version: version}, nil
}

// Organization is the first part of the names of its protobuf packages: the first
// element of the path that can be one.
func (r Repository) Organization() string {
	_, rest, _ := strings.Cut(r.Module, "/")
	name := regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(strings.Split(rest, "/")[0]), "")
	if name = strings.TrimLeft(name, "0123456789"); name == "" {
		return "example"
	}
	return name
}

// Write writes the repository into a directory, which it makes if it isn't there.
// A directory with anything in it is refused.
func (r Repository) Write(dir string) error {
	switch entries, err := os.ReadDir(dir); {
	case err == nil && len(entries) > 0:
		return fmt.Errorf("%s is not empty", dir)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	written, err := r.files()
	if err != nil {
		return err
	}
	for name, content := range written {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			return err
		}
		if err := os.WriteFile(file, content, 0o666); err != nil { //nolint:gosec // Schemas are for everybody whom the umask lets.
			return err
		}
	}
	return nil
}

// files returns what is written, by slash-separated path.
func (r Repository) files() (map[string][]byte, error) {
	written := make(map[string][]byte)
	add := func(source fs.FS, root string, place func(name string, content []byte) error) error {
		return fs.WalkDir(source, root, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := fs.ReadFile(source, name)
			if err != nil {
				return err
			}
			return place(name, content)
		})
	}
	err := errors.Join(
		add(files, "template", func(name string, content []byte) error {
			name = strings.TrimPrefix(name, "template/")
			var filled bytes.Buffer
			// `${{ … }}` is for GitHub.
			parsed, err := template.New(name).Delims("[[", "]]").Parse(string(content))
			if err == nil {
				err = parsed.Execute(&filled, r)
			}
			name = strings.ReplaceAll(strings.TrimSuffix(name, ".tmpl"), "ORGANIZATION", r.Organization())
			written[name] = filled.Bytes()
			return err
		}),
		add(tidings.Schemas, "proto", func(name string, content []byte) error {
			written["third_party/"+strings.TrimPrefix(name, "proto/")] = content
			return nil
		}),
	)
	if err != nil {
		return nil, err
	}
	written["buf.lock"], err = fs.ReadFile(tidings.Schemas, "buf.lock")
	return written, err
}
