package schema

import (
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
)

// Extensions are the extensions that the files of the set declare. Of two with
// one number, of one message, it has the first.
func (s *Set) Extensions() *protoregistry.Types { return s.extensions() }

func extensionsOf(files *protoregistry.Files) *protoregistry.Types {
	types := new(protoregistry.Types)
	files.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		register(types, file)
		return true
	})
	return types
}

// register adds the extensions that a file or message declares.
func register(types *protoregistry.Types, scope interface {
	Extensions() protoreflect.ExtensionDescriptors
	Messages() protoreflect.MessageDescriptors
}) {
	for i := range scope.Extensions().Len() {
		_ = types.RegisterExtension(dynamicpb.NewExtensionType(scope.Extensions().Get(i))) // The number is taken: the first stays.
	}
	for i := range scope.Messages().Len() {
		register(types, scope.Messages().Get(i))
	}
}
