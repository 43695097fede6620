// Package golden makes the golden vectors: one message of every type of the
// contract, in binary and in JSON, which runtimes of all languages have to decode
// to the same values, until a release breaks the contract.
package golden

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"

	"example.com/tidings/tools/internal/schemaimage"
)

// Where the vectors are, relative to the root of the checkout: a directory for
// each release, named like its tag, and one for what is to be the next.
const (
	Dir  = "conformance/golden"
	Next = "next"
)

// Packages are those whose messages have vectors.
var Packages = []string{"tidings.v1", "tidings.v1beta1"}

// A Vector is a message in both forms.
type Vector struct {
	Name   string // The full name of its type.
	Binary []byte
	JSON   []byte
}

// Make returns the vectors of an image in the order of their names. The same
// image always gives the same vectors.
func Make(image []byte) ([]Vector, error) {
	set, err := schemaimage.Parse(image)
	if err != nil {
		return nil, err
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		return nil, err
	}
	var vectors []Vector
	var problems []error
	files.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if slices.Contains(Packages, string(file.Package())) {
			for i := range file.Messages().Len() {
				vector, err := makeVector(file.Messages().Get(i))
				problems = append(problems, err)
				vectors = append(vectors, vector)
			}
		}
		return true
	})
	slices.SortFunc(vectors, func(a, b Vector) int { return strings.Compare(a.Name, b.Name) })
	return vectors, errors.Join(problems...)
}

func makeVector(descriptor protoreflect.MessageDescriptor) (Vector, error) {
	f := filler{path: make(map[protoreflect.FullName]int)}
	message := f.fill(descriptor, 0).Interface()
	vector := Vector{Name: string(descriptor.FullName())}
	var err error
	if vector.Binary, err = (proto.MarshalOptions{Deterministic: true}).Marshal(message); err != nil {
		return vector, fmt.Errorf("%s: %w", vector.Name, err)
	}
	text, err := protojson.Marshal(message)
	if err != nil {
		return vector, fmt.Errorf("%s: %w", vector.Name, err)
	}
	// What protojson puts between the tokens differs from build to build.
	var indented bytes.Buffer
	if err := json.Indent(&indented, compact(text), "", "  "); err != nil {
		return vector, fmt.Errorf("%s: %w", vector.Name, err)
	}
	vector.JSON = append(indented.Bytes(), '\n')
	return vector, nil
}

// compact removes what is between the tokens of valid JSON.
func compact(text []byte) []byte {
	var out bytes.Buffer
	if err := json.Compact(&out, text); err != nil {
		panic(err) // protojson wrote it.
	}
	return out.Bytes()
}

// Write makes a directory hold these vectors and nothing else.
func Write(dir string, vectors []Vector) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, vector := range vectors {
		if err := os.WriteFile(filepath.Join(dir, vector.Name+".binpb"), vector.Binary, 0o644); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, vector.Name+".json"), vector.JSON, 0o644); err != nil {
			return err
		}
	}
	return nil
}
