// Package schema holds the event types that the server knows and
// checks payloads against them, without generated code: a type is known by its
// descriptor alone.
package schema

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"example.com/tidings/server/internal/reserved"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
)

// ErrUnknownType is returned for a type that the set doesn't hold.
var ErrUnknownType = errors.New("unknown event type")

// Set is an immutable set of event types. It is safe for concurrent use.
type Set struct {
	*dynamicpb.Types
	files    *protoregistry.Files
	types    map[string]*Type
	names    []string // Sorted.
	declared []string // Sorted: the names of the types that declare a topic.
	topics   map[string]*Topic
	// topicNames are sorted, and ofTopic the types of each that some name.
	topicNames []string
	ofTopic    map[string][]string
	image      *Image
	revision   []byte
	rules      func() (*ruleLoops, error)
	// extensions makes them of the files, the first time that it is called.
	extensions func() *protoregistry.Types
}

// Parse makes a set from Buf images or FileDescriptorSets, as ReadImage reads
// them. Together they have to hold what their files import, but for what schemas
// import of protobuf, of protovalidate and of Tidings: the server's own serve for
// all. The same file may be in several if it is the same in all.
func Parse(images ...[]byte) (*Set, error) {
	joined := own()
	for _, encoded := range images {
		image, err := ReadImage(encoded)
		if err == nil {
			joined, err = joined.join(image)
		}
		if err != nil {
			return nil, err
		}
	}
	return joined.Set()
}

func newSet(files *protoregistry.Files) (*Set, error) {
	set := &Set{
		Types:      dynamicpb.NewTypes(files),
		files:      files,
		types:      make(map[string]*Type),
		topics:     make(map[string]*Topic),
		ofTopic:    make(map[string][]string),
		extensions: sync.OnceValue(func() *protoregistry.Types { return extensionsOf(files) }),
	}
	validator, err := protovalidate.New(protovalidate.WithExtensionTypeResolver(set.Types))
	if err != nil {
		return nil, fmt.Errorf("validator: %w", err)
	}
	shared := newShared(files, set.Types, validator)
	set.rules = shared.rules
	revisions := sync.OnceValue(func() map[string][RevisionSize]byte { return typeRevisions(set) })
	files.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if Describes(file.Package()) {
			return true
		}
		if err = set.declareTopics(file); err != nil {
			return false
		}
		messages := file.Messages()
		for i := range messages.Len() {
			var t *Type
			if t, err = newType(messages.Get(i), shared); err != nil {
				return false
			}
			set.types[t.Name] = t
			t.revision = sync.OnceValue(func() [RevisionSize]byte { return revisions()[t.Name] })
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
	if err := set.joinTopics(); err != nil {
		return nil, err
	}
	return set, nil
}

// Type returns the type of a full name, or ErrUnknownType.
func (s *Set) Type(name string) (*Type, error) {
	if t, ok := s.types[name]; ok {
		return t, nil
	}
	return nil, ErrUnknownType
}

// Lacks says why a name isn't that of a type, for people.
func (s *Set) Lacks(name string) string {
	full := protoreflect.FullName(name)
	switch found, err := s.files.FindDescriptorByName(full); {
	case full.IsValid() && Describes(full.Parent()):
		return fmt.Sprintf("%q is not the type of an event: messages of the packages %s describe schemas and calls, or are parts of events; declare a message of another package", name, reserved.Packages)
	case err == nil && isMessage(found):
		return fmt.Sprintf("%q is not the type of an event: it is declared inside of another message", name)
	default:
		return fmt.Sprintf("unknown event type %q", name)
	}
}

func isMessage(descriptor protoreflect.Descriptor) bool {
	_, ok := descriptor.(protoreflect.MessageDescriptor)
	return ok
}

// Files are the descriptors of the set and of all that they import.
func (s *Set) Files() *protoregistry.Files { return s.files }

// Image is what the set was made from.
func (s *Set) Image() *Image { return s.image }

// Revision is a hash of what the schemas of the set say, RevisionSize bytes: the
// same for the same schemas, whatever their comments. It is not to be changed.
func (s *Set) Revision() []byte { return s.revision }

// Names returns the sorted names of the types that declare a topic or, if all
// is set, of every type. The caller doesn't change the slice.
func (s *Set) Names(all bool) []string {
	if all {
		return s.names
	}
	return s.declared
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
func eventOptions(message protoreflect.MessageDescriptor) *optionsv1.EventOptions {
	options, ok := message.Options().(*descriptorpb.MessageOptions)
	if !ok || !proto.HasExtension(options, optionsv1.E_Event) {
		return nil
	}
	event, _ := proto.GetExtension(options, optionsv1.E_Event).(*optionsv1.EventOptions)
	return event
}
