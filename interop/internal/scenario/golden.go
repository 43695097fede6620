package scenario

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	_ "google.golang.org/protobuf/types/known/wrapperspb" // Vectors hold them in Any.

	_ "example.com/tidings/gen/go/tidings/v1beta1" // Vectors are of its messages too.
)

const (
	binaryExtension = ".binpb"
	jsonExtension   = ".json"
)

// A Vector is a message that every client has to decode.
type Vector struct {
	// Name is LABEL-NAME: where it comes from, and the full name of its type.
	Name string
	// Message is what it holds.
	Message proto.Message

	binary, json []byte
}

// LoadVectors reads the golden vectors of a directory with one directory for each
// label. Both forms of each must hold the same.
func LoadVectors(dir string) ([]Vector, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*", "*"+binaryExtension))
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("%s holds no vectors", dir)
	}
	var vectors []Vector
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), binaryExtension)
		label := filepath.Base(filepath.Dir(path))
		vector, err := loadVector(strings.TrimSuffix(path, binaryExtension), label, name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		vectors = append(vectors, vector)
	}
	return vectors, nil
}

func loadVector(path, label, name string) (vector Vector, err error) {
	vector.Name = label + "-" + name
	if vector.binary, err = os.ReadFile(path + binaryExtension); err != nil {
		return vector, err
	}
	if vector.json, err = os.ReadFile(path + jsonExtension); err != nil {
		return vector, err
	}
	if vector.Message, err = decode(name, vector.binary, proto.Unmarshal); err != nil {
		return vector, err
	}
	fromJSON, err := decode(name, vector.json, protojson.Unmarshal)
	if err != nil {
		return vector, err
	}
	if !proto.Equal(vector.Message, fromJSON) {
		return vector, fmt.Errorf("in binary it is %v, in JSON %v", vector.Message, fromJSON)
	}
	return vector, nil
}

// decode decodes a message of the type that a name is the full name of.
func decode(name string, data []byte, unmarshal func([]byte, proto.Message) error) (proto.Message, error) {
	messageType, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(name))
	if err != nil {
		return nil, err
	}
	message := messageType.New().Interface()
	return message, unmarshal(data, message)
}

// Vectors are the values as vectors, each with its name as the label.
func (v Values) Vectors() ([]Vector, error) {
	var vectors []Vector
	for _, name := range valueNames {
		value := v[name]
		vector := Vector{Name: name + "-" + string(value.ProtoReflect().Descriptor().FullName()), Message: value}
		var err error
		if vector.binary, err = proto.Marshal(value); err != nil {
			return nil, err
		}
		if vector.json, err = protojson.Marshal(value); err != nil {
			return nil, err
		}
		vectors = append(vectors, vector)
	}
	return vectors, nil
}

// WriteVectors writes vectors to a directory, as clients find them.
func WriteVectors(dir string, vectors []Vector) error {
	for _, vector := range vectors {
		if err := os.WriteFile(filepath.Join(dir, vector.Name+binaryExtension), vector.binary, 0o644); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, vector.Name+jsonExtension), vector.json, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// VerifyGolden compares what a client wrote with the vectors, and makes those of
// its outcomes failures that don't fit.
func VerifyGolden(out string, vectors []Vector, outcomes Outcomes) {
	var expected []string
	for _, vector := range vectors {
		for _, written := range []struct {
			step, file string
			unmarshal  func([]byte, proto.Message) error
		}{
			{stepGolden, vector.Name + binaryExtension, proto.Unmarshal},
			{stepGoldenJSON, vector.Name + jsonExtension, protojson.Unmarshal},
			{stepGoldenJSON, vector.Name + jsonExtension + binaryExtension, proto.Unmarshal},
		} {
			expected = append(expected, written.file)
			outcomes.fail(written.step, verifyFile(filepath.Join(out, written.file), vector, written.unmarshal))
		}
	}
	entries, err := os.ReadDir(out)
	outcomes.fail(stepGolden, err)
	for _, entry := range entries {
		if !slices.Contains(expected, entry.Name()) {
			outcomes.fail(stepGolden, fmt.Errorf("there is no vector for the file %s", entry.Name()))
		}
	}
}

// verifyFile wants a file to hold what a vector holds.
func verifyFile(path string, vector Vector, unmarshal func([]byte, proto.Message) error) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s was not written", filepath.Base(path))
	}
	if err != nil {
		return err
	}
	got := vector.Message.ProtoReflect().New().Interface()
	if err := unmarshal(data, got); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	if !proto.Equal(got, vector.Message) {
		return fmt.Errorf("%s holds %v, want %v", filepath.Base(path), got, vector.Message)
	}
	return nil
}
