// Package imagejson reads Buf images and FileDescriptorSets in JSON.
package imagejson

import (
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// Binary returns the binary form of a Buf image or a FileDescriptorSet in JSON.
// The image itself declares options that its files may use, such as predefined
// rules of protovalidate, so it is read twice.
func Binary(text []byte) ([]byte, error) {
	// A Buf image in JSON has fields of Buf's own in each file.
	options := protojson.UnmarshalOptions{DiscardUnknown: true}
	set := new(descriptorpb.FileDescriptorSet)
	if err := options.Unmarshal(text, set); err != nil {
		return nil, err
	}
	files, err := protodesc.FileOptions{AllowUnresolvable: true}.NewFiles(set)
	if err != nil {
		return nil, err
	}
	options.Resolver = imageTypes{dynamicpb.NewTypes(files)}
	set.Reset()
	if err := options.Unmarshal(text, set); err != nil {
		return nil, err
	}
	return proto.Marshal(set)
}

// imageTypes finds options that an image declares, and those of the contract,
// which it may leave out. Others would be dropped without a word; but the file
// that declares them is then missing too, for which servers refuse the image.
type imageTypes struct{ *dynamicpb.Types }

func (t imageTypes) FindExtensionByName(name protoreflect.FullName) (protoreflect.ExtensionType, error) {
	if found, err := t.Types.FindExtensionByName(name); err == nil {
		return found, nil
	}
	return protoregistry.GlobalTypes.FindExtensionByName(name)
}
