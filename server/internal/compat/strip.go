package compat

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"example.com/tidings/server/internal/schema"
)

// stripped returns a copy of a file without what no event holds: services,
// messages and enums that aren't reached, and extensions of such messages. A
// message that isn't reached stays, empty, where it has others in it that are,
// and its name is added to shells.
func stripped(file *descriptorpb.FileDescriptorProto, reach Reach, shells map[protoreflect.FullName]bool) *descriptorpb.FileDescriptorProto {
	file = proto.CloneOf(file)
	s := stripping{reach, shells}
	scope := protoreflect.FullName(file.GetPackage())
	file.Service = nil
	file.MessageType = s.messages(scope, file.GetMessageType())
	file.EnumType = s.enums(scope, file.GetEnumType())
	file.Extension = s.extensions(file.GetExtension())
	return file
}

type stripping struct {
	reach  Reach
	shells map[protoreflect.FullName]bool
}

func (s stripping) messages(scope protoreflect.FullName, messages []*descriptorpb.DescriptorProto) []*descriptorpb.DescriptorProto {
	return slices.DeleteFunc(messages, func(m *descriptorpb.DescriptorProto) bool {
		name := within(scope, m.GetName())
		m.NestedType = s.messages(name, m.GetNestedType())
		m.EnumType = s.enums(name, m.GetEnumType())
		m.Extension = s.extensions(m.GetExtension())
		if s.reach[name] {
			return false
		}
		empty(m)
		if len(m.GetNestedType())+len(m.GetEnumType())+len(m.GetExtension()) == 0 {
			return true
		}
		s.shells[name] = true
		return false
	})
}

func (s stripping) enums(scope protoreflect.FullName, enums []*descriptorpb.EnumDescriptorProto) []*descriptorpb.EnumDescriptorProto {
	return slices.DeleteFunc(enums, func(e *descriptorpb.EnumDescriptorProto) bool { return !s.reach[within(scope, e.GetName())] })
}

// extensions leaves out those of messages that aren't reached. Those of options
// say something about the schemas.
func (s stripping) extensions(extensions []*descriptorpb.FieldDescriptorProto) []*descriptorpb.FieldDescriptorProto {
	return slices.DeleteFunc(extensions, func(e *descriptorpb.FieldDescriptorProto) bool {
		return !s.reach[fullName(e.GetExtendee())] && !schema.Describes(fullName(e.GetExtendee()).Parent())
	})
}

// emptied returns a copy of a file in which some messages have no fields.
func emptied(file *descriptorpb.FileDescriptorProto, shells map[protoreflect.FullName]bool) *descriptorpb.FileDescriptorProto {
	file = proto.CloneOf(file)
	if len(shells) > 0 {
		emptyIn(protoreflect.FullName(file.GetPackage()), file.GetMessageType(), shells)
	}
	return file
}

func emptyIn(scope protoreflect.FullName, messages []*descriptorpb.DescriptorProto, shells map[protoreflect.FullName]bool) {
	for _, m := range messages {
		name := within(scope, m.GetName())
		emptyIn(name, m.GetNestedType(), shells)
		if shells[name] {
			empty(m)
		}
	}
}

// empty leaves of a message only what is declared in it. Entries of maps go with
// their fields.
func empty(m *descriptorpb.DescriptorProto) {
	m.Field, m.OneofDecl, m.Options = nil, nil, nil
	m.ReservedName, m.ReservedRange = nil, nil
	m.NestedType = slices.DeleteFunc(m.GetNestedType(), func(n *descriptorpb.DescriptorProto) bool { return n.GetOptions().GetMapEntry() })
}

func within(scope protoreflect.FullName, name string) protoreflect.FullName {
	if scope == "" {
		return protoreflect.FullName(name)
	}
	return scope + "." + protoreflect.FullName(name)
}

// fullName is the name that a descriptor refers to, without its leading dot.
func fullName(reference string) protoreflect.FullName {
	return protoreflect.FullName(strings.TrimPrefix(reference, "."))
}
