package main

import (
	"bytes"
	"errors"
	"go/format"
	"path"
	"strings"
	"unicode/utf8"

	"golang.org/x/mod/modfile"

	"example.com/tidings/tools/internal/names"
	"example.com/tidings/tools/internal/schemaimage"
)

// A rewriter gives files the names that follow from a module path, in place of
// those that follow from other paths.
type rewriter struct {
	before []string
	after  string

	// What they are called in text.
	tokens []token
	// What directories are called.
	directories []token
}

func newRewriter(before []string, after string) rewriter {
	r := rewriter{before: before, after: after}
	to := names.Of(after)
	// The new names are found as well, and stay: an old one may be a part of them.
	r.tokens = tokens(to, to)
	for _, path := range before {
		from := names.Of(path)
		r.tokens = append(r.tokens, tokens(from, to)...)
		r.directories = append(r.directories, token{before: from.JavaDirectory(), after: to.JavaDirectory()})
	}
	return r
}

// move returns the name that a file is to have.
func (r rewriter) move(name string) string {
	for _, t := range r.directories {
		before, after := "/"+t.before+"/", "/"+t.after+"/"
		if !strings.Contains("/"+name, after) {
			name = strings.Replace("/"+name, before, after, 1)[1:]
		}
	}
	return name
}

// rewrite returns what the file called name is to hold.
func (r rewriter) rewrite(name string, data []byte) ([]byte, error) {
	if path.Ext(name) == ".binpb" {
		return r.image(data)
	}
	changed := replaceAll(data, r.tokens)
	if path.Ext(name) == ".md" {
		changed = removePlaceholders(changed)
	}
	if bytes.Equal(changed, data) {
		return data, nil
	}
	if !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
		return nil, errors.New("a binary file that names the module; generate it anew or remove it first")
	}
	switch {
	case path.Base(name) == "go.mod":
		return sortRequirements(name, changed)
	case path.Base(name) == "Cargo.lock":
		return sortCargoLock(changed), nil
	case path.Ext(name) == ".go":
		// Imports are in the order of their paths.
		return format.Source(changed)
	}
	return changed, nil
}

// image leaves an image that names none of the modules untouched, byte for byte.
func (r rewriter) image(data []byte) ([]byte, error) {
	for _, old := range r.before {
		if !bytes.Contains(data, []byte(old)) {
			continue
		}
		var err error
		if data, err = schemaimage.RenameModule(data, old, r.after); err != nil {
			return nil, err
		}
	}
	return data, nil
}

// placeholder is the line above a paragraph of a document that is only true as long
// as the project has names that stand for others.
const placeholder = "<!-- `make module` removes this paragraph. -->\n"

// removePlaceholders removes the paragraphs below such lines.
func removePlaceholders(data []byte) []byte {
	var out bytes.Buffer
	for {
		before, after, found := bytes.Cut(data, []byte(placeholder))
		out.Write(before)
		if !found {
			return out.Bytes()
		}
		if _, data, found = bytes.Cut(after, []byte("\n\n")); !found { // It was the last.
			return append(bytes.TrimRight(out.Bytes(), "\n"), '\n')
		}
	}
}

// sortRequirements puts the lines of a go.mod's blocks in the order that the go
// command keeps.
func sortRequirements(name string, data []byte) ([]byte, error) {
	file, err := modfile.Parse(name, data, nil)
	if err != nil {
		return nil, err
	}
	file.SortBlocks()
	return file.Format()
}
