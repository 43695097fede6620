package schemarules

import (
	"slices"

	"buf.build/go/bufplugin/check"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// What a file says of itself, by the numbers of the fields of its descriptor.
const packageNumber, syntaxNumber = 2, 12

// optionsField is the number of the field that holds the options in the
// descriptor of each kind of element.
func optionsField(element protoreflect.Descriptor) int32 {
	switch element.(type) {
	case protoreflect.MessageDescriptor:
		return 7
	case protoreflect.OneofDescriptor:
		return 2
	case protoreflect.EnumDescriptor, protoreflect.EnumValueDescriptor, protoreflect.ServiceDescriptor:
		return 3
	case protoreflect.MethodDescriptor:
		return 4
	default: // Fields, extensions and files.
		return 8
	}
}

// at places a finding at an option of an element: at the innermost part of the
// path that the file knows a place of, and else at the element.
func at(element protoreflect.Descriptor, option protoreflect.SourcePath) check.AddAnnotationOption {
	locations := element.ParentFile().SourceLocations()
	place := locations.ByDescriptor(element).Path
	if _, isFile := element.(protoreflect.FileDescriptor); len(place) == 0 && !isFile {
		return check.WithDescriptor(element) // The schemas came without places.
	}
	path := append(slices.Clone(place), optionsField(element))
	path = append(path, option...)
	for ; len(path) > len(place); path = path[:len(path)-1] {
		if found := locations.ByPath(path); len(found.Path) > 0 {
			return check.WithFileNameAndSourcePath(element.ParentFile().Path(), found.Path)
		}
	}
	return check.WithDescriptor(element)
}
