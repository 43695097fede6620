package schema

import (
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"example.com/tidings/server/internal/imagejson"
	"example.com/tidings/server/internal/reserved"
)

// readImage decodes a Buf image or a FileDescriptorSet, binary or JSON, and
// returns the files that a server is given.
func readImage(encoded []byte) ([]*descriptorpb.FileDescriptorProto, error) {
	if len(encoded) == 0 {
		return nil, errors.New("it is empty, and not a Buf image or a FileDescriptorSet")
	}
	// White space isn't skipped: the first byte of the binary form is a line feed.
	if encoded[0] == '{' {
		binary, err := imagejson.Binary(encoded)
		if err != nil {
			return nil, notAnImage(err)
		}
		encoded = binary
	}
	set := new(descriptorpb.FileDescriptorSet)
	if err := proto.Unmarshal(encoded, set); err != nil {
		return nil, notAnImage(err)
	}
	if len(set.GetFile()) == 0 {
		return nil, notAnImage(errors.New("it holds no file"))
	}
	for i, file := range set.GetFile() {
		if file.GetName() == "" {
			return nil, notAnImage(fmt.Errorf("file %d in it has no name", i+1))
		}
	}
	files := needed(set.GetFile())
	if len(files) == 0 {
		return nil, errNoSchemas
	}
	return files, nil
}

// notAnImage is the error for other contents. The text of protobuf's errors has
// line breaks and spaces that differ from build to build.
func notAnImage(err error) error {
	return fmt.Errorf("neither a Buf image nor a FileDescriptorSet: %s", strings.Join(strings.Fields(err.Error()), " "))
}

// needed returns the files that aren't the contract's, and those of the contract
// that they import. The server has its own of these, where it has them, so they
// go without their comments.
func needed(files []*descriptorpb.FileDescriptorProto) []*descriptorpb.FileDescriptorProto {
	byName := make(map[string]*descriptorpb.FileDescriptorProto, len(files))
	for _, file := range files {
		byName[file.GetName()] = file
	}
	reached := make(map[string]bool)
	for _, file := range files {
		if !reserved.Package(file.GetPackage()) {
			reach(file, byName, reached)
		}
	}
	var result []*descriptorpb.FileDescriptorProto
	for _, file := range files {
		if !reached[file.GetName()] {
			continue
		}
		if reserved.Package(file.GetPackage()) {
			file.SourceCodeInfo = nil
		}
		result = append(result, file)
	}
	return result
}

// reach marks a file and all that it imports.
func reach(file *descriptorpb.FileDescriptorProto, byName map[string]*descriptorpb.FileDescriptorProto, reached map[string]bool) {
	if file == nil || reached[file.GetName()] {
		return
	}
	reached[file.GetName()] = true
	for _, path := range file.GetDependency() {
		reach(byName[path], byName, reached)
	}
}
