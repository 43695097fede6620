package schema

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/types/descriptorpb"
)

// MissingError says that a file needs something that no file declares.
type MissingError struct {
	// File is the name of the file.
	File string
	// Name is the full name of what it needs.
	Name string
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s needs %s, which no file declares", e.File, e.Name)
}

// resolve returns a *MissingError where a file needs a message or an enum that
// isn't there.
func (i *Image) resolve() error {
	declared := make(map[string]bool)
	for _, file := range i.files {
		scope := ""
		if file.GetPackage() != "" {
			scope = "." + file.GetPackage()
		}
		declareTypes(scope, file.GetMessageType(), file.GetEnumType(), declared)
	}
	for _, file := range i.files {
		if name, ok := needed(file, func(name string) bool {
			// Compilers write full names, which begin with a dot.
			return strings.HasPrefix(name, ".") && !declared[name]
		}); ok {
			return &MissingError{file.GetName(), name[1:]}
		}
	}
	return nil
}

func declareTypes(scope string, messages []*descriptorpb.DescriptorProto, enums []*descriptorpb.EnumDescriptorProto, names map[string]bool) {
	for _, enum := range enums {
		names[scope+"."+enum.GetName()] = true
	}
	for _, message := range messages {
		name := scope + "." + message.GetName()
		names[name] = true
		declareTypes(name, message.GetNestedType(), message.GetEnumType(), names)
	}
}

// needed returns the first name of a type that a file refers to and that a
// function chooses.
func needed(file *descriptorpb.FileDescriptorProto, chosen func(string) bool) (string, bool) {
	for _, service := range file.GetService() {
		for _, method := range service.GetMethod() {
			for _, name := range []string{method.GetInputType(), method.GetOutputType()} {
				if chosen(name) {
					return name, true
				}
			}
		}
	}
	if name, ok := neededBy(file.GetExtension(), chosen); ok {
		return name, true
	}
	return neededIn(file.GetMessageType(), chosen)
}

func neededIn(messages []*descriptorpb.DescriptorProto, chosen func(string) bool) (string, bool) {
	for _, message := range messages {
		for _, fields := range [][]*descriptorpb.FieldDescriptorProto{message.GetField(), message.GetExtension()} {
			if name, ok := neededBy(fields, chosen); ok {
				return name, true
			}
		}
		if name, ok := neededIn(message.GetNestedType(), chosen); ok {
			return name, true
		}
	}
	return "", false
}

func neededBy(fields []*descriptorpb.FieldDescriptorProto, chosen func(string) bool) (string, bool) {
	for _, field := range fields {
		for _, name := range []string{field.GetTypeName(), field.GetExtendee()} {
			if name != "" && chosen(name) {
				return name, true
			}
		}
	}
	return "", false
}
