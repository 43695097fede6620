// Package schema holds the event types that the server has been given and
// checks payloads against them, without generated code: a type is known by its
// descriptor alone.
package schema

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// ErrUnknownType is returned for a type that the set doesn't hold.
var ErrUnknownType = errors.New("the server has not been given this type")

// Set is an immutable set of event types. It is safe for concurrent use.
type Set struct {
	*dynamicpb.Types
	files    *protoregistry.Files
	types    map[string]*Type
	names    []string // Sorted.
	declared []string // Sorted: the names of the types that declare a topic.
}

// Parse makes a set from one or more Buf images or FileDescriptorSets, binary
// or, where the first byte is a brace, JSON. Each has to hold the files that
// its files import. The same file may be in several if it is the same in all.
//
// Every top-level message is a type of the set, except for those of the
// packages that only describe schemas or calls: google.protobuf, buf.validate
// and tidings. Files of these packages may differ: the first one counts.
func Parse(images ...[]byte) (*Set, error) {
	merged := new(descriptorpb.FileDescriptorSet)
	seen := make(map[string]*descriptorpb.FileDescriptorProto)
	for _, image := range images {
		set, err := unmarshal(image)
		if err != nil {
			return nil, err
		}
		for _, file := range set.GetFile() {
			if before, ok := seen[file.GetName()]; ok {
				// The server's own version of what only describes schemas serves
				// for all: images are built with other releases of it.
				if !describesOnly(protoreflect.FullName(file.GetPackage())) && !sameFile(before, file) {
					return nil, fmt.Errorf("%s: two different files of this name", file.GetName())
				}
				continue
			}
			seen[file.GetName()] = file
			merged.File = append(merged.File, file)
		}
	}
	files, err := protodesc.NewFiles(merged)
	if err != nil {
		return nil, fmt.Errorf("descriptors don't fit together: %w", err)
	}
	return newSet(files)
}

func unmarshal(image []byte) (*descriptorpb.FileDescriptorSet, error) {
	set := new(descriptorpb.FileDescriptorSet)
	var err error
	if len(image) > 0 && image[0] == '{' {
		// A Buf image in JSON has fields of Buf's own in each file.
		err = protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(image, set)
	} else {
		err = proto.Unmarshal(image, set)
	}
	if err != nil {
		return nil, fmt.Errorf("neither a Buf image nor a FileDescriptorSet: %w", err)
	}
	if len(set.GetFile()) == 0 {
		return nil, errors.New("neither a Buf image nor a FileDescriptorSet: it holds no file")
	}
	return set, nil
}

// sameFile compares two files but for their comments and Buf's own fields,
// which depend on how they were built.
func sameFile(a, b *descriptorpb.FileDescriptorProto) bool {
	return proto.Equal(bare(a), bare(b))
}

func bare(file *descriptorpb.FileDescriptorProto) *descriptorpb.FileDescriptorProto {
	file = proto.CloneOf(file)
	file.SourceCodeInfo = nil
	file.ProtoReflect().SetUnknown(nil)
	return file
}

func newSet(files *protoregistry.Files) (*Set, error) {
	set := &Set{
		Types: dynamicpb.NewTypes(files),
		files: files,
		types: make(map[string]*Type),
	}
	validator, err := protovalidate.New(protovalidate.WithExtensionTypeResolver(set.Types))
	if err != nil {
		return nil, fmt.Errorf("validator: %w", err)
	}
	files.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if describesOnly(file.Package()) {
			return true
		}
		messages := file.Messages()
		for i := range messages.Len() {
			var t *Type
			if t, err = newType(messages.Get(i), files, set.Types, validator); err != nil {
				return false
			}
			set.types[t.Name] = t
			set.names = append(set.names, t.Name)
			if t.Topic != "" {
				set.declared = append(set.declared, t.Name)
			}
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(set.names)
	slices.Sort(set.declared)
	return set, nil
}

func describesOnly(name protoreflect.FullName) bool {
	for _, prefix := range []string{"google.protobuf", "buf.validate", "tidings"} {
		if rest, ok := strings.CutPrefix(string(name), prefix); ok && (rest == "" || rest[0] == '.') {
			return true
		}
	}
	return false
}

// Type returns the type of a full name, or ErrUnknownType.
func (s *Set) Type(name string) (*Type, error) {
	if t, ok := s.types[name]; ok {
		return t, nil
	}
	return nil, ErrUnknownType
}

// Files are the descriptors of the set and of all that they import.
func (s *Set) Files() *protoregistry.Files { return s.files }

// Names returns the sorted names of the types that declare a topic or, if all
// is set, of every type. The caller doesn't change the slice.
func (s *Set) Names(all bool) []string {
	if all {
		return s.names
	}
	return s.declared
}

// Topics returns the sorted names of the topics that the types declare.
func (s *Set) Topics() []string {
	var topics []string
	for _, name := range s.declared {
		topics = append(topics, s.types[name].Topic)
	}
	slices.Sort(topics)
	return slices.Compact(topics)
}

// FileDescriptorSet returns the file of a type and all that it imports,
// dependencies first.
func (s *Set) FileDescriptorSet(t *Type) *descriptorpb.FileDescriptorSet {
	set := new(descriptorpb.FileDescriptorSet)
	seen := make(map[string]bool)
	var add func(file protoreflect.FileDescriptor)
	add = func(file protoreflect.FileDescriptor) {
		if seen[file.Path()] {
			return
		}
		seen[file.Path()] = true
		imports := file.Imports()
		for i := range imports.Len() {
			add(imports.Get(i))
		}
		set.File = append(set.File, protodesc.ToFileDescriptorProto(file))
	}
	add(t.descriptor.ParentFile())
	return set
}

// eventOptions returns the event option of a message, or nil.
func eventOptions(message protoreflect.MessageDescriptor) *tidingsv1.EventOptions {
	options, ok := message.Options().(*descriptorpb.MessageOptions)
	if !ok || !proto.HasExtension(options, tidingsv1.E_Event) {
		return nil
	}
	event, _ := proto.GetExtension(options, tidingsv1.E_Event).(*tidingsv1.EventOptions)
	return event
}
