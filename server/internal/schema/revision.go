package schema

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// RevisionSize is the number of bytes of a revision.
const RevisionSize = 8

// FormatRevision returns the text of a revision.
func FormatRevision(revision []byte) string { return hex.EncodeToString(revision) }

// Revision is a hash of what the schemas say of the type: of the message, of the
// messages and enums that its fields lead to, and of the custom options that
// these have. Comments and the files in which things are declared have no part in
// it.
func (t *Type) Revision() [RevisionSize]byte { return t.revision() }

// typeRevisions returns the revisions of the types of a set.
func typeRevisions(s *Set) map[string][RevisionSize]byte {
	d := &declarations{set: s, known: make(map[protoreflect.FullName]*declaration)}
	revisions := make(map[string][RevisionSize]byte, len(s.types))
	for name, t := range s.types {
		component := d.of(t.descriptor).component
		hash := sha256.Sum256(append(component[:], name...))
		revisions[name] = [RevisionSize]byte(hash[:])
	}
	return revisions
}

// declarations hashes what messages, enums and extensions say. What depends on
// each other is hashed together, so that every declaration is looked at once,
// however many types depend on it: the algorithm is Tarjan's, for strongly
// connected components.
type declarations struct {
	set   *Set
	known map[protoreflect.FullName]*declaration
	stack []*declaration
}

// declaration is a message, an enum or an extension on the way.
type declaration struct {
	name  protoreflect.FullName
	said  [sha256.Size]byte // The hash of what it says itself.
	needs []*declaration
	index int // In the order in which they were come upon.
	low   int // The lowest index that it leads back to.
	done  bool
	// component is the hash of it, of what depends on it and on which it depends,
	// and of what these depend on.
	component [sha256.Size]byte
}

func (d *declarations) of(descriptor protoreflect.Descriptor) *declaration {
	if found := d.known[descriptor.FullName()]; found != nil {
		return found
	}
	one := &declaration{name: descriptor.FullName(), index: len(d.known), low: len(d.known)}
	d.known[one.name] = one
	d.stack = append(d.stack, one)
	said, needs := d.look(descriptor)
	one.said = sha256.Sum256(said)
	for _, needed := range needs {
		found := d.of(needed)
		one.needs = append(one.needs, found)
		if !found.done {
			one.low = min(one.low, found.low)
		}
	}
	if one.low == one.index {
		start := slices.Index(d.stack, one)
		d.close(slices.Clone(d.stack[start:]))
		d.stack = d.stack[:start]
	}
	return one
}

// close hashes declarations that depend on each other.
func (d *declarations) close(members []*declaration) {
	slices.SortFunc(members, func(a, b *declaration) int { return strings.Compare(string(a.name), string(b.name)) })
	needed := make(map[[sha256.Size]byte]bool)
	hash := sha256.New()
	for _, member := range members {
		hash.Write(binary.AppendUvarint(nil, uint64(len(member.name))))
		hash.Write([]byte(member.name))
		hash.Write(member.said[:])
		for _, other := range member.needs {
			if other.done {
				needed[other.component] = true
			}
		}
	}
	for _, component := range slices.SortedFunc(maps.Keys(needed), func(a, b [sha256.Size]byte) int { return bytes.Compare(a[:], b[:]) }) {
		hash.Write(component[:])
	}
	component := [sha256.Size]byte(hash.Sum(nil))
	for _, member := range members {
		member.component, member.done = component, true
	}
}

// look returns what a declaration says itself, and what it depends on.
func (d *declarations) look(descriptor protoreflect.Descriptor) (said []byte, needs []protoreflect.Descriptor) {
	var content proto.Message
	switch descriptor := descriptor.(type) {
	case protoreflect.MessageDescriptor:
		message := protodesc.ToDescriptorProto(descriptor)
		// What is declared inside is looked at where a field leads to it.
		message.NestedType, message.EnumType, message.Extension = nil, nil, nil
		for i, field := range message.GetField() {
			dropUsualName(field)
			needs = append(needs, leadsTo(descriptor.Fields().Get(i))...)
		}
		content = message
	case protoreflect.EnumDescriptor:
		content = protodesc.ToEnumDescriptorProto(descriptor)
	case protoreflect.FieldDescriptor:
		field := protodesc.ToFieldDescriptorProto(descriptor)
		dropUsualName(field)
		content, needs = field, leadsTo(descriptor)
	}
	said = d.context(descriptor)
	encoded, err := proto.MarshalOptions{Deterministic: true, AllowPartial: true}.Marshal(content)
	if err != nil {
		encoded = []byte(err.Error()) // Nothing that was decoded from an image.
	}
	for _, used := range d.options(content.ProtoReflect()) {
		needs = append(needs, used)
	}
	return append(said, encoded...), needs
}

// dropUsualName leaves out the name of a field in JSON where it is the usual one: an
// image may or may not name it.
func dropUsualName(field *descriptorpb.FieldDescriptorProto) {
	if field.GetJsonName() == jsonName(field.GetName()) {
		field.JsonName = nil
	}
}

// jsonName is the name in JSON that a field has unless it says another one.
func jsonName(name string) string {
	var b strings.Builder
	upper := false
	for _, c := range []byte(name) {
		switch {
		case c == '_':
			upper = true
			continue
		case upper && 'a' <= c && c <= 'z':
			c -= 'a' - 'A'
		}
		upper = false
		b.WriteByte(c)
	}
	return b.String()
}

func leadsTo(field protoreflect.FieldDescriptor) []protoreflect.Descriptor {
	switch {
	case field.Message() != nil:
		return []protoreflect.Descriptor{field.Message()}
	case field.Enum() != nil:
		return []protoreflect.Descriptor{field.Enum()}
	default:
		return nil
	}
}

// context is what the file and the messages around a declaration say about it:
// the syntax or edition, and features.
func (d *declarations) context(descriptor protoreflect.Descriptor) []byte {
	said := new(descriptorpb.FileDescriptorProto)
	if file := d.set.image.byName[descriptor.ParentFile().Path()]; file != nil {
		said.Syntax, said.Edition = file.Syntax, file.Edition
		if said.GetSyntax() == "proto2" {
			said.Syntax = nil
		}
		if features := file.GetOptions().GetFeatures(); features != nil {
			said.Options = &descriptorpb.FileOptions{Features: features}
		}
	}
	for parent := descriptor.Parent(); parent != nil; parent = parent.Parent() {
		message, ok := parent.(protoreflect.MessageDescriptor)
		if !ok {
			break
		}
		options, _ := message.Options().(*descriptorpb.MessageOptions)
		if features := options.GetFeatures(); features != nil {
			said.MessageType = append(said.MessageType, &descriptorpb.DescriptorProto{Options: &descriptorpb.MessageOptions{Features: features}})
		}
	}
	encoded, err := proto.MarshalOptions{Deterministic: true, AllowPartial: true}.Marshal(said)
	if err != nil {
		return nil
	}
	return append(binary.AppendUvarint(nil, uint64(len(encoded))), encoded...)
}

// options returns the extensions that the options in a declaration have: they may
// be rules of their own.
func (d *declarations) options(message protoreflect.Message) []protoreflect.FieldDescriptor {
	var found []protoreflect.FieldDescriptor
	use := func(number protowire.Number) {
		extension, err := d.set.FindExtensionByNumber(message.Descriptor().FullName(), number)
		if err == nil && !Describes(extension.TypeDescriptor().ParentFile().Package()) {
			found = append(found, extension.TypeDescriptor().Descriptor())
		}
	}
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if field.IsExtension() {
			use(field.Number())
		}
		switch {
		case field.Message() == nil || field.IsMap():
		case field.IsList():
			for i := range value.List().Len() {
				found = append(found, d.options(value.List().Get(i).Message())...)
			}
		default:
			found = append(found, d.options(value.Message())...)
		}
		return true
	})
	for rest := message.GetUnknown(); len(rest) > 0; {
		number, _, size := protowire.ConsumeField(rest)
		if size < 0 {
			break
		}
		use(number)
		rest = rest[size:]
	}
	return found
}
