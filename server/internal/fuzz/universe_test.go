package fuzz

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// universe is the types of an image, as Go's own library makes them.
type universe struct {
	*dynamicpb.Types

	messages   []protoreflect.MessageDescriptor // The event types.
	extensions map[protoreflect.FullName][]protoreflect.ExtensionType
}

// newUniverse returns the types of images, of which the packages count as events
// that are none of the libraries'.
func newUniverse(images ...[]byte) (*universe, error) {
	set, err := joined(images...)
	if err != nil {
		return nil, err
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		return nil, err
	}
	u := &universe{Types: dynamicpb.NewTypes(files), extensions: make(map[protoreflect.FullName][]protoreflect.ExtensionType)}
	files.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if _, err := protoregistry.GlobalFiles.FindFileByPath(file.Path()); err == nil {
			return true
		}
		for i := range file.Messages().Len() {
			u.messages = append(u.messages, file.Messages().Get(i))
		}
		for i := range file.Extensions().Len() {
			extension := dynamicpb.NewExtensionType(file.Extensions().Get(i))
			of := extension.TypeDescriptor().ContainingMessage().FullName()
			u.extensions[of] = append(u.extensions[of], extension)
		}
		return true
	})
	return u, nil
}

// joined returns the files of images together.
func joined(images ...[]byte) (*descriptorpb.FileDescriptorSet, error) {
	set := new(descriptorpb.FileDescriptorSet)
	seen := make(map[string]bool)
	for _, image := range images {
		part := new(descriptorpb.FileDescriptorSet)
		if err := proto.Unmarshal(image, part); err != nil {
			return nil, err
		}
		for _, file := range part.GetFile() {
			if !seen[file.GetName()] {
				seen[file.GetName()] = true
				set.File = append(set.File, file)
			}
		}
	}
	return set, nil
}
