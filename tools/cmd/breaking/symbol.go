package main

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/types/descriptorpb"
)

// quoted finds the names and numbers in the message of a finding.
var quoted = regexp.MustCompile(`"([^"]*)"`)

// place tells of a finding which element it is about, and of which package. The
// element is one of the reference, whose users the finding is about: what is
// gone isn't in the working tree. Buf doesn't give it, but its message names it.
func (f finding) place(reference *descriptorpb.FileDescriptorSet) (symbol, pkg string) {
	var names []string
	for _, match := range quoted.FindAllStringSubmatch(f.Message, -1) {
		names = append(names, match[1])
	}
	for _, file := range reference.GetFile() {
		// Buf's paths begin with the directory of the module. A file that is gone has
		// none, and is named by the message.
		if f.Path == file.GetName() || strings.HasSuffix(f.Path, "/"+file.GetName()) ||
			f.Path == "" && slices.Contains(names, file.GetName()) {
			pkg = file.GetPackage()
			if symbol = symbolIn(file, names); symbol == "" {
				symbol = file.GetName()
			}
			break
		}
	}
	if symbol == "" {
		symbol, pkg = extensionIn(reference, names)
	}
	if symbol == "" && f.Path != "" {
		symbol, pkg = movedIn(reference, path.Dir(f.Path), names)
	}
	// Our own rules begin with the full name of what they are about.
	if len(names) > 0 && (strings.HasPrefix(f.Rule, "TIDINGS_") || symbol == "") {
		symbol = names[0]
	}
	if pkg == "" {
		pkg = packageOf(reference, symbol)
	}
	return symbol, pkg
}

// packageOf returns the package of an element, by its full name: where the
// reference has none, the package is gone, and is what the message names.
func packageOf(reference *descriptorpb.FileDescriptorSet, symbol string) string {
	longest := ""
	for _, file := range reference.GetFile() {
		if pkg := file.GetPackage(); strings.HasPrefix(symbol, pkg+".") && len(pkg) > len(longest) {
			longest = pkg
		}
	}
	if longest == "" {
		return symbol
	}
	return longest
}

// extensionIn returns the extension that has one of the names as its number and
// another as what it extends, with its package: Buf knows extensions by these, and
// finds one that moved to another file in that file.
func extensionIn(reference *descriptorpb.FileDescriptorSet, names []string) (symbol, pkg string) {
	for _, file := range reference.GetFile() {
		for _, extension := range file.GetExtension() {
			if slices.Contains(names, strconv.Itoa(int(extension.GetNumber()))) &&
				slices.Contains(names, strings.TrimPrefix(extension.GetExtendee(), ".")) {
				return join(file.GetPackage(), extension.GetName()), file.GetPackage()
			}
		}
	}
	return "", ""
}

// movedIn returns the element that the names name in a file of a directory, with
// its package: Buf finds what moved to a new file in that file, which the reference
// doesn't have. The files of a package are in one directory.
func movedIn(reference *descriptorpb.FileDescriptorSet, dir string, names []string) (symbol, pkg string) {
	for _, file := range reference.GetFile() {
		if !strings.HasSuffix("/"+dir, "/"+path.Dir(file.GetName())) {
			continue
		}
		if symbol = symbolIn(file, names); symbol != "" {
			return symbol, file.GetPackage()
		}
	}
	return "", ""
}

// symbolIn returns the full name of the innermost element of a file that is
// among the names. Buf's messages name a message or an enum by its name in the
// package or by its last part, which several can share: where they don't tell
// which it is, all are returned, with "|" between them. Empty: the finding is
// about the file.
func symbolIn(file *descriptorpb.FileDescriptorProto, names []string) string {
	s := search{names: names, pkg: file.GetPackage()}
	s.numbered = slices.ContainsFunc(names, func(name string) bool {
		_, err := strconv.Atoi(name)
		return err == nil
	})
	s.messages("", file.GetMessageType())
	s.enums("", file.GetEnumType())
	s.extensions("", file.GetExtension())
	for _, service := range file.GetService() {
		if s.container("", service.GetName()) {
			for _, method := range service.GetMethod() {
				// A method has no number, so its name is what counts.
				if slices.Contains(names, method.GetName()) {
					s.parts = append(s.parts, join(s.pkg, service.GetName(), method.GetName()))
				}
			}
		}
	}
	if len(s.parts) > 0 {
		return strings.Join(s.parts, "|")
	}
	return strings.Join(s.wholes, "|")
}

// A search goes through a file for the element that a message names.
type search struct {
	names    []string
	numbered bool // Fields and values are named by their number.
	pkg      string
	// The full names of the elements that were found, and of what was found in one.
	wholes, parts []string
}

// container takes an element that isn't a part of another, if it is named.
func (s *search) container(scope, name string) bool {
	if !slices.Contains(s.names, name) && !slices.Contains(s.names, join(scope, name)) {
		return false
	}
	s.wholes = append(s.wholes, join(s.pkg, scope, name))
	return true
}

// namesPart reports whether the message names a part that has a number.
func (s *search) namesPart(name string, number int32) bool {
	if s.numbered {
		return slices.Contains(s.names, strconv.Itoa(int(number)))
	}
	return slices.Contains(s.names, name)
}

func (s *search) messages(scope string, messages []*descriptorpb.DescriptorProto) {
	for _, message := range messages {
		name := join(scope, message.GetName())
		if s.container(scope, message.GetName()) {
			for _, field := range message.GetField() {
				if s.namesPart(field.GetName(), field.GetNumber()) {
					s.parts = append(s.parts, join(s.pkg, name, field.GetName()))
				}
			}
			for _, oneof := range message.GetOneofDecl() {
				if !s.numbered && slices.Contains(s.names, oneof.GetName()) {
					s.parts = append(s.parts, join(s.pkg, name, oneof.GetName()))
				}
			}
		}
		s.messages(name, message.GetNestedType())
		s.enums(name, message.GetEnumType())
		s.extensions(name, message.GetExtension())
	}
}

func (s *search) enums(scope string, enums []*descriptorpb.EnumDescriptorProto) {
	for _, enum := range enums {
		if !s.container(scope, enum.GetName()) {
			continue
		}
		for _, value := range enum.GetValue() {
			if s.namesPart(value.GetName(), value.GetNumber()) {
				// The values of an enum are beside it, not in it.
				s.parts = append(s.parts, join(s.pkg, scope, value.GetName()))
			}
		}
	}
}

// extensions takes those that are named in full, as where one changed, or by
// their name, as where one is gone.
func (s *search) extensions(scope string, extensions []*descriptorpb.FieldDescriptorProto) {
	for _, extension := range extensions {
		if name := join(s.pkg, scope, extension.GetName()); slices.Contains(s.names, name) {
			s.wholes = append(s.wholes, name)
		} else if !s.numbered {
			s.container(scope, extension.GetName())
		}
	}
}

// join puts names together, leaving out those that are empty.
func join(names ...string) string {
	return strings.Join(slices.DeleteFunc(names, func(name string) bool { return name == "" }), ".")
}
