package schemarules

import (
	"fmt"
	"iter"

	"buf.build/go/bufplugin/descriptor"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// files returns the files of a request, or those alone that aren't imported from
// elsewhere.
func files(list []descriptor.FileDescriptor, imported bool) []protoreflect.FileDescriptor {
	var found []protoreflect.FileDescriptor
	for _, file := range list {
		if imported || !file.IsImport() {
			found = append(found, file.ProtoreflectFileDescriptor())
		}
	}
	return found
}

// elements yields all that files declare and that can have options, the files
// themselves first.
func elements(list []protoreflect.FileDescriptor) iter.Seq[protoreflect.Descriptor] {
	return func(yield func(protoreflect.Descriptor) bool) {
		for _, file := range list {
			if !yield(file) || !declared(file, yield) {
				return
			}
			for i := range file.Services().Len() {
				service := file.Services().Get(i)
				if !yield(service) || !all(service.Methods(), yield) {
					return
				}
			}
		}
	}
}

// A scope is what messages, enums and extensions are declared in.
type scope interface {
	Messages() protoreflect.MessageDescriptors
	Enums() protoreflect.EnumDescriptors
	Extensions() protoreflect.ExtensionDescriptors
}

func declared(in scope, yield func(protoreflect.Descriptor) bool) bool {
	for i := range in.Messages().Len() {
		message := in.Messages().Get(i)
		if !yield(message) || !all(message.Fields(), yield) || !all(message.Oneofs(), yield) || !declared(message, yield) {
			return false
		}
	}
	for i := range in.Enums().Len() {
		enum := in.Enums().Get(i)
		if !yield(enum) || !all(enum.Values(), yield) {
			return false
		}
	}
	return all(in.Extensions(), yield)
}

// A list is one of protoreflect's.
type list[D protoreflect.Descriptor] interface {
	Len() int
	Get(i int) D
}

func all[D protoreflect.Descriptor](items list[D], yield func(protoreflect.Descriptor) bool) bool {
	for i := range items.Len() {
		if !yield(items.Get(i)) {
			return false
		}
	}
	return true
}

// of yields those elements that are of one kind.
func of[D protoreflect.Descriptor](list []protoreflect.FileDescriptor) iter.Seq[D] {
	return func(yield func(D) bool) {
		for element := range elements(list) {
			if wanted, ok := element.(D); ok && !yield(wanted) {
				return
			}
		}
	}
}

// A pair is an element before and after a change.
type pair[D protoreflect.Descriptor] struct {
	was, is D
}

// pairs yields the elements of one kind that there are before and after.
func pairs[D protoreflect.Descriptor](was, is []protoreflect.FileDescriptor) iter.Seq[pair[D]] {
	return func(yield func(pair[D]) bool) {
		present := make(map[string]D)
		for element := range of[D](is) {
			present[identity(element)] = element
		}
		for element := range of[D](was) {
			if now, ok := present[identity(element)]; ok && !yield(pair[D]{was: element, is: now}) {
				return
			}
		}
	}
}

// identity is what stays when an element is changed. That of a field is its
// number, by which it is stored.
func identity(element protoreflect.Descriptor) string {
	switch element := element.(type) {
	case protoreflect.FileDescriptor:
		return element.Path()
	case protoreflect.FieldDescriptor:
		return fmt.Sprintf("%s#%d", element.ContainingMessage().FullName(), element.Number())
	default:
		return string(element.FullName())
	}
}
