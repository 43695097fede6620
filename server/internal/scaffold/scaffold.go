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
	"path/filepath"
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

// New returns the repository of a module, or why it can't have that path.
func New(module, version string) (Repository, error) {
	if err := checkModule(module); err != nil {
		return Repository{}, err
	}
	return Repository{Module: module, Version: version}, nil
}

// Write writes the repository into a directory, which it makes if it isn't there.
// A directory with anything in it but Git's own is refused.
func (r Repository) Write(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, entry := range entries {
		if entry.Name() != ".git" {
			return fmt.Errorf("%s is not empty: it has %s", dir, entry.Name())
		}
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
		if err := os.WriteFile(file, content, 0o666); err != nil {
			return err
		}
	}
	return nil
}

// files returns what is written, by slash-separated path.
func (r Repository) files() (map[string][]byte, error) {
	written := make(map[string][]byte)
	err := errors.Join(
		each(files, "template", func(name string, content []byte) error {
			filled, err := r.fill(name, string(content))
			name = strings.TrimPrefix(strings.TrimSuffix(name, ".tmpl"), "template/")
			written[strings.ReplaceAll(name, "ORGANIZATION", r.Organization())] = filled
			return err
		}),
		each(tidings.Schemas, "proto", func(name string, content []byte) error {
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

// each calls take for all files below root.
func each(source fs.FS, root string, take func(name string, content []byte) error) error {
	return fs.WalkDir(source, root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(source, name)
		if err != nil {
			return err
		}
		return take(name, content)
	})
}

// fill fills in a template. `{{` and `}}` are left alone: workflows have them.
func (r Repository) fill(name, text string) ([]byte, error) {
	parsed, err := template.New(name).Delims("[[", "]]").Parse(text)
	if err != nil {
		return nil, err
	}
	var filled bytes.Buffer
	err = parsed.Execute(&filled, r)
	return filled.Bytes(), err
}
