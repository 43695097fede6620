// Package schemaimage works on Buf images, the compiled form of a set of schemas.
package schemaimage

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
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
// been called newPath from the start: every go_package in it names newPath.
// The same input always gives the same bytes.
func RenameModule(data []byte, oldPath, newPath string) ([]byte, error) {
	set, err := Parse(data)
	if err != nil {
		return nil, err
	}
	for _, file := range set.GetFile() {
		goPackage := file.GetOptions().GetGoPackage()
		rest, ok := strings.CutPrefix(goPackage, oldPath)
		if ok && (rest == "" || rest[0] == '/' || rest[0] == ';') {
			file.Options.GoPackage = new(newPath + rest)
		}
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(set)
}
