package main

import (
	"bytes"
	"errors"
	"go/format"
	"path"
	"unicode/utf8"

	"golang.org/x/mod/modfile"

	"example.com/tidings/tools/internal/schemaimage"
)

// rewrite returns what the file called name holds under the new path.
func rewrite(name string, data []byte, oldPath, newPath string) ([]byte, error) {
	if path.Ext(name) == ".binpb" {
		return rewriteImage(data, oldPath, newPath)
	}
	if !bytes.Contains(data, []byte(oldPath)) {
		return data, nil
	}
	if !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
		return nil, errors.New("a binary file that names the module; generate it anew or remove it first")
	}
	data = replacePath(data, oldPath, newPath)
	switch {
	case path.Base(name) == "go.mod":
		return sortRequirements(name, data)
	case path.Ext(name) == ".go":
		// Imports are in the order of their paths.
		return format.Source(data)
	}
	return data, nil
}

// rewriteImage leaves an image that doesn't name the module untouched, byte for
// byte.
func rewriteImage(data []byte, oldPath, newPath string) ([]byte, error) {
	if !bytes.Contains(data, []byte(oldPath)) {
		return data, nil
	}
	return schemaimage.RenameModule(data, oldPath, newPath)
}

// replacePath replaces a module path wherever it stands as a whole or as the
// first elements of a longer one, and nowhere within another name.
func replacePath(data []byte, oldPath, newPath string) []byte {
	var out bytes.Buffer
	for {
		i := bytes.Index(data, []byte(oldPath))
		if i < 0 {
			out.Write(data)
			return out.Bytes()
		}
		end := i + len(oldPath)
		out.Write(data[:i])
		if endsName(data[:i]) || startsName(data[end:]) {
			out.Write(data[i:end])
		} else {
			out.WriteString(newPath)
		}
		data = data[end:]
	}
}

// endsName reports whether what stands before a path makes it part of another
// host's name.
func endsName(before []byte) bool {
	return len(before) > 0 && (isNameByte(before[len(before)-1]) || before[len(before)-1] == '.')
}

// startsName reports whether what stands after a path continues its last
// element. A dot does, unless it ends a sentence.
func startsName(after []byte) bool {
	if len(after) > 1 && after[0] == '.' {
		return isNameByte(after[1])
	}
	return len(after) > 0 && isNameByte(after[0])
}

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '~'
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
