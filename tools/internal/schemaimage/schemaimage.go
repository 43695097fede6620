// Package schemaimage works on Buf images, the compiled form of a set of schemas.
package schemaimage

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"example.com/tidings/tools/internal/names"
)

// Parse reads an image as the set of file descriptors that it is. What Buf adds
// to each file is kept among the unknown fields.
func Parse(data []byte) (*descriptorpb.FileDescriptorSet, error) {
	set := new(descriptorpb.FileDescriptorSet)
	// Custom options stay unknown fields too: nothing here interprets them.
	if err := (proto.UnmarshalOptions{Resolver: noExtensions{}}).Unmarshal(data, set); err != nil {
		return nil, fmt.Errorf("not an image: %w", err)
	}
	return set, nil
}

// RenameModule returns the image as it would be if the Go module oldPath had
// been called newPath from the start: every go_package and java_package in it has
// the names that follow from newPath. The same input always gives the same bytes,
// and one that doesn't name the module is returned as it is.
func RenameModule(data []byte, oldPath, newPath string) ([]byte, error) {
	set, err := Parse(data)
	if err != nil {
		return nil, err
	}
	oldJava, newJava := names.Of(oldPath).Java, names.Of(newPath).Java
	changed := false
	for _, file := range set.GetFile() {
		options := file.GetOptions()
		if rest, ok := strings.CutPrefix(options.GetGoPackage(), oldPath); ok && (rest == "" || rest[0] == '/' || rest[0] == ';') {
			changed = true
			options.GoPackage = new(newPath + rest)
			// The Java packages of others, such as those of google.protobuf, stay.
			if rest, ok := strings.CutPrefix(options.GetJavaPackage(), oldJava); ok && (rest == "" || rest[0] == '.') {
				options.JavaPackage = new(newJava + rest)
			}
		}
	}
	if !changed {
		return data, nil
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(set)
}
