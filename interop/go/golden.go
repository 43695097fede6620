package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	_ "google.golang.org/protobuf/types/known/wrapperspb" // Vectors hold them in Any.

	_ "example.com/tidings/gen/go/tidings/v1beta1" // Vectors are of its messages too.
)

// copyGolden writes each vector again as it is.
func (s scenario) copyGolden(context.Context) error {
	return s.eachVector(".binpb", func(name string, data []byte, message proto.Message) error {
		if err := proto.Unmarshal(data, message); err != nil {
			return err
		}
		return s.writeBinary(name+".binpb", message)
	})
}

// copyGoldenJSON turns each vector into the other form.
func (s scenario) copyGoldenJSON(context.Context) error {
	toJSON := s.eachVector(".binpb", func(name string, data []byte, message proto.Message) error {
		if err := proto.Unmarshal(data, message); err != nil {
			return err
		}
		text, err := protojson.Marshal(message)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(s.out, name+".json"), text, 0o600)
	})
	fromJSON := s.eachVector(".json", func(name string, data []byte, message proto.Message) error {
		if err := protojson.Unmarshal(data, message); err != nil {
			return err
		}
		return s.writeBinary(name+".json.binpb", message)
	})
	return errors.Join(toJSON, fromJSON)
}

// eachVector calls take with the name of each vector, LABEL-NAME, with what it
// holds and with an empty message of its type.
func (s scenario) eachVector(extension string, take func(name string, data []byte, message proto.Message) error) error {
	paths, err := filepath.Glob(filepath.Join(s.golden, "*"+extension))
	if err != nil {
		return err
	}
	if len(paths) == 0 {
		return errors.New("there are no vectors in " + s.golden)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name := strings.TrimSuffix(filepath.Base(path), extension)
		_, typeName, _ := strings.Cut(name, "-")
		messageType, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(typeName))
		if err != nil {
			return err
		}
		if err := take(name, data, messageType.New().Interface()); err != nil {
			return errors.Join(errors.New(path), err)
		}
	}
	return nil
}

func (s scenario) writeBinary(file string, message proto.Message) error {
	data, err := proto.Marshal(message)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.out, file), data, 0o600)
}
