// Package image makes the images of schemas that a server is given: that of the
// suite's own events, and those that cases declare.
package image

import (
	"context"
	"fmt"
	"strings"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	conformancev1 "example.com/tidings/conformance/gen/go/tidings/conformance/v1"
)

// Events is the image of the events that the suite publishes, with all that they
// import, dependencies first.
func Events() ([]byte, error) {
	set := new(descriptorpb.FileDescriptorSet)
	add(set, conformancev1.File_tidings_conformance_v1_every_kind_proto, map[string]bool{})
	return proto.MarshalOptions{Deterministic: true}.Marshal(set)
}

func add(set *descriptorpb.FileDescriptorSet, file protoreflect.FileDescriptor, done map[string]bool) {
	if done[file.Path()] {
		return
	}
	done[file.Path()] = true
	for i := range file.Imports().Len() {
		add(set, file.Imports().Get(i).FileDescriptor, done)
	}
	set.File = append(set.File, protodesc.ToFileDescriptorProto(file))
}

// compiled is the name of the file that Compile compiles.
const compiled = "conformance/case.proto"

// Compile compiles the source of a file, which may import what is linked into
// this program, and returns the image that holds this file alone: a server has
// the others. The file is named after its package, so that those of different
// packages don't replace one another.
func Compile(source string) ([]byte, error) {
	compiler := protocompile.Compiler{Resolver: protocompile.CompositeResolver{
		&protocompile.SourceResolver{Accessor: protocompile.SourceAccessorFromMap(map[string]string{compiled: source})},
		protocompile.ResolverFunc(func(path string) (protocompile.SearchResult, error) {
			file, err := protoregistry.GlobalFiles.FindFileByPath(path)
			return protocompile.SearchResult{Desc: file}, err
		}),
	}}
	files, err := compiler.Compile(context.Background(), compiled)
	if err != nil {
		return nil, err
	}
	file := protodesc.ToFileDescriptorProto(files[0])
	if file.GetPackage() == "" {
		return nil, fmt.Errorf("%s has no package", compiled)
	}
	file.Name = new(strings.ReplaceAll(file.GetPackage(), ".", "/") + "/case.proto")
	return proto.MarshalOptions{Deterministic: true}.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{file}})
}
