package compat

import (
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Buf doesn't see these, or only for schemas as a source of code. The rule with
// our prefix is the plugin's too; here it holds without one.
const (
	messageNoDelete   = "MESSAGE_NO_DELETE"
	extensionNoDelete = "EXTENSION_NO_DELETE"
	valueSameJSONName = "TIDINGS_ENUM_VALUE_SAME_JSON_NAME"
	messageReserved   = "RESERVED_MESSAGE_NO_DELETE"
	enumReserved      = "RESERVED_ENUM_NO_DELETE"
)

// stored returns what else becomes of stored events: whose types or extensions
// are gone, whose values are shown by other names, and in which a field or a
// value means something else than one that was there before. Only what some
// packages declare is looked at.
func (p pair) stored(reach Reach, packages map[string]bool) (violations []Violation) {
	for _, name := range slices.Sorted(maps.Keys(reach)) {
		found, err := p.older.FindDescriptorByName(name)
		if err != nil || !packages[string(found.ParentFile().Package())] {
			continue
		}
		newer, _ := p.newer.FindDescriptorByName(name) // Not found: it is gone.
		switch older := found.(type) {
		case protoreflect.MessageDescriptor:
			if newer, ok := newer.(protoreflect.MessageDescriptor); ok {
				violations = append(violations, reusedFields(older, newer)...)
			} else if parent, nested := older.Parent().(protoreflect.MessageDescriptor); !older.IsMapEntry() && (!nested || p.message(parent) != nil) {
				violations = append(violations, p.gone(messageNoDelete, older, fmt.Sprintf("Message %q was deleted, and stored events may hold it.", name)))
			}
		case protoreflect.EnumDescriptor:
			if newer, ok := newer.(protoreflect.EnumDescriptor); ok {
				violations = append(violations, renamedValues(older, newer)...)
				violations = append(violations, reusedValues(older, newer)...)
			}
		}
	}
	p.older.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if packages[string(file.Package())] {
			violations = append(violations, p.goneExtensions(file, reach)...)
		}
		return true
	})
	return violations
}

// gone is the violation of something that isn't there any more. Its file is told
// where that still is.
func (p pair) gone(rule string, older protoreflect.Descriptor, message string) Violation {
	v := Violation{Rule: rule, Message: message}
	if parent, ok := older.Parent().(protoreflect.MessageDescriptor); ok {
		if newer, err := p.newer.FindDescriptorByName(parent.FullName()); err == nil {
			v.at(newer)
		}
	} else if file, err := p.newer.FindFileByPath(older.ParentFile().Path()); err == nil {
		v.File = file.Path()
	}
	return v
}

// at sets where a violation is.
func (v *Violation) at(newer protoreflect.Descriptor) {
	v.Element, v.File = string(newer.FullName()), newer.ParentFile().Path()
	if location := newer.ParentFile().SourceLocations().ByDescriptor(newer); location.Path != nil {
		v.Line = location.StartLine + 1
	}
}

func (p pair) goneExtensions(scope interface {
	Extensions() protoreflect.ExtensionDescriptors
	Messages() protoreflect.MessageDescriptors
}, reach Reach) (violations []Violation) {
	for i := range scope.Extensions().Len() {
		older := scope.Extensions().Get(i)
		extended := older.ContainingMessage().FullName()
		if !reach[extended] {
			continue
		}
		found, _ := p.newer.FindDescriptorByName(older.FullName()) // None: it is gone.
		newer, ok := found.(protoreflect.FieldDescriptor)
		if !ok || newer.Number() != older.Number() || newer.ContainingMessage().FullName() != extended {
			violations = append(violations, p.gone(extensionNoDelete, older, fmt.Sprintf("Extension %q with number %d of %q was deleted.", older.FullName(), older.Number(), extended)))
		}
	}
	for i := range scope.Messages().Len() {
		violations = append(violations, p.goneExtensions(scope.Messages().Get(i), reach)...)
	}
	return violations
}

// renamedValues are those whose name is still there, so that Buf finds nothing.
func renamedValues(older, newer protoreflect.EnumDescriptor) (violations []Violation) {
	for _, value := range changedValues(older, newer) {
		shown := newer.Values().ByNumber(value.Number())
		same := newer.Values().ByName(value.Name())
		if shown == nil || same == nil || same.Number() != value.Number() {
			continue
		}
		v := Violation{Rule: valueSameJSONName, Message: fmt.Sprintf(
			"Enum value \"%d\" on enum %q is shown as %q, and was as %q: of several names for a number the first is shown.",
			value.Number(), newer.Name(), shown.Name(), value.Name())}
		v.at(shown)
		violations = append(violations, v)
	}
	return violations
}

func reusedFields(older, newer protoreflect.MessageDescriptor) (violations []Violation) {
	for i := range newer.Fields().Len() {
		field := newer.Fields().Get(i)
		if older.ReservedRanges().Has(field.Number()) || older.ReservedNames().Has(field.Name()) {
			v := Violation{Rule: messageReserved, Message: fmt.Sprintf("Field \"%d\" with name %q on message %q takes a number or a name that was reserved.", field.Number(), field.Name(), newer.Name())}
			v.at(field)
			violations = append(violations, v)
		}
	}
	return violations
}

func reusedValues(older, newer protoreflect.EnumDescriptor) (violations []Violation) {
	for i := range newer.Values().Len() {
		value := newer.Values().Get(i)
		if older.ReservedRanges().Has(value.Number()) || older.ReservedNames().Has(value.Name()) {
			v := Violation{Rule: enumReserved, Message: fmt.Sprintf("Enum value \"%d\" with name %q on enum %q takes a number or a name that was reserved.", value.Number(), value.Name(), newer.Name())}
			v.at(value)
			violations = append(violations, v)
		}
	}
	return violations
}
