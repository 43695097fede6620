package schemarules

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// describe names an element in a finding.
func describe(element protoreflect.Descriptor) string {
	if file, ok := element.(protoreflect.FileDescriptor); ok {
		return fmt.Sprintf("File %q", file.Path())
	}
	return fmt.Sprintf("%s %q", kindOf(element), element.FullName())
}

func kindOf(element protoreflect.Descriptor) string {
	switch element := element.(type) {
	case protoreflect.MessageDescriptor:
		return "Message"
	case protoreflect.FieldDescriptor:
		if element.IsExtension() {
			return "Extension"
		}
		return "Field"
	case protoreflect.OneofDescriptor:
		return "Oneof"
	case protoreflect.EnumDescriptor:
		return "Enum"
	case protoreflect.EnumValueDescriptor:
		return "Enum value"
	case protoreflect.ServiceDescriptor:
		return "Service"
	case protoreflect.MethodDescriptor:
		return "RPC"
	default:
		return "Element"
	}
}
