package compat

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"example.com/tidings/server/internal/schema"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
)

// Reach holds the full names of the messages and enums that events may hold.
type Reach map[protoreflect.FullName]bool

// Reached returns what the events of some schemas may hold. Events are all
// top-level messages, except for those that an RPC takes or gives and that
// don't say that they are events: what only calls carry is never stored.
//
// An Any may hold every message, nested ones too.
func Reached(files *protoregistry.Files) Reach {
	r := &reaching{reach: make(Reach), extensions: make(map[protoreflect.FullName][]protoreflect.FieldDescriptor)}
	called := make(map[protoreflect.FullName]bool)
	files.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		r.extend(file)
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for n := range methods.Len() {
				called[methods.Get(n).Input().FullName()], called[methods.Get(n).Output().FullName()] = true, true
			}
		}
		return true
	})
	var events []protoreflect.MessageDescriptor
	files.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if schema.Describes(file.Package()) {
			return true
		}
		for i := range file.Messages().Len() {
			if m := file.Messages().Get(i); !called[m.FullName()] || proto.HasExtension(m.Options(), optionsv1.E_Event) {
				events = append(events, m)
			}
		}
		return true
	})
	for _, event := range events {
		r.message(event)
	}
	for name, options := range r.extensions {
		if schema.Describes(name.Parent()) {
			for _, option := range options {
				r.field(option)
			}
		}
	}
	if r.reach["google.protobuf.Any"] {
		for _, event := range events {
			r.nested(event)
		}
	}
	return r.reach
}

type reaching struct {
	reach      Reach
	extensions map[protoreflect.FullName][]protoreflect.FieldDescriptor // By what they extend.
}

// extend notes the extensions in a file or a message.
func (r *reaching) extend(scope interface {
	Extensions() protoreflect.ExtensionDescriptors
	Messages() protoreflect.MessageDescriptors
}) {
	for i := range scope.Extensions().Len() {
		extension := scope.Extensions().Get(i)
		name := extension.ContainingMessage().FullName()
		r.extensions[name] = append(r.extensions[name], extension)
	}
	for i := range scope.Messages().Len() {
		r.extend(scope.Messages().Get(i))
	}
}

func (r *reaching) message(m protoreflect.MessageDescriptor) {
	if r.reach[m.FullName()] {
		return
	}
	r.reach[m.FullName()] = true
	for i := range m.Fields().Len() {
		r.field(m.Fields().Get(i))
	}
	for _, extension := range r.extensions[m.FullName()] {
		r.field(extension)
	}
}

func (r *reaching) field(field protoreflect.FieldDescriptor) {
	if enum := field.Enum(); enum != nil {
		r.reach[enum.FullName()] = true
	}
	if m := field.Message(); m != nil {
		r.message(m)
	}
}

func (r *reaching) nested(m protoreflect.MessageDescriptor) {
	for i := range m.Messages().Len() {
		r.message(m.Messages().Get(i))
		r.nested(m.Messages().Get(i))
	}
}
