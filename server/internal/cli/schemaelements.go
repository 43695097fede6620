package cli

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// The kinds of elements. A message that declares a topic is an event.
const (
	kindFile      = "file"
	kindMessage   = "message"
	kindEvent     = "event"
	kindField     = "field"
	kindOneof     = "oneof"
	kindEnum      = "enum"
	kindValue     = "value"
	kindExtension = "extension"
)

// schemaElement is a part of schemas that is compared as a whole.
type schemaElement struct {
	kind string
	// name is the full name, for people: a value's is below its enum's.
	name string
	// parent is the key of what it is in. Empty: of a file.
	parent string
	// summary says the most important of it, as a declaration does. It may be
	// empty.
	summary string
	// facts are what may change of it, by what they are about. A fact that isn't
	// there has its default.
	facts facts
}

type facts map[string]string

// set notes a fact, unless it is the default.
func (f facts) set(name, value string) {
	if value != "" {
		f[name] = value
	}
}

// schemaElements are the elements of files. What two schemas have in common has
// the same key in both: fields, values and extensions go by their numbers, the
// others by their names.
type schemaElements map[string]*schemaElement

func elementsOf(files []*descriptorpb.FileDescriptorProto) schemaElements {
	e := make(schemaElements)
	for _, file := range files {
		e.addFile(file)
	}
	return e
}

func (e schemaElements) addFile(file *descriptorpb.FileDescriptorProto) {
	about := optionFacts(file.GetOptions())
	about.set("package", file.GetPackage())
	about.set("syntax", file.GetSyntax())
	if file.Edition != nil {
		about.set("edition", file.GetEdition().String())
	}
	e["file "+file.GetName()] = &schemaElement{kind: kindFile, name: file.GetName(), facts: about}
	place := facts{"file": file.GetName()}
	for _, message := range file.GetMessageType() {
		e.addMessage(message, file.GetPackage(), "", place)
	}
	for _, enum := range file.GetEnumType() {
		e.addEnum(enum, file.GetPackage(), "", place)
	}
	for _, extension := range file.GetExtension() {
		e.addExtension(extension, file.GetPackage(), "")
	}
}

func (e schemaElements) addMessage(message *descriptorpb.DescriptorProto, scope, parent string, place facts) {
	name := within(scope, message.GetName())
	element := &schemaElement{kind: kindMessage, name: name, parent: parent, facts: optionFacts(message.GetOptions())}
	maps.Copy(element.facts, place)
	if topic := element.facts["topic"]; topic != "" {
		element.kind, element.summary = kindEvent, "topic "+topic
	}
	var reserved []string
	for _, r := range message.GetReservedRange() {
		reserved = append(reserved, numbers(r.GetStart(), r.GetEnd()-1))
	}
	element.facts.set("reserved", strings.Join(append(reserved, message.GetReservedName()...), ", "))
	var open []string
	for _, r := range message.GetExtensionRange() {
		open = append(open, numbers(r.GetStart(), r.GetEnd()-1))
	}
	element.facts.set("extension numbers", strings.Join(open, ", "))
	key := "message " + name
	e[key] = element

	entries := make(map[string]*descriptorpb.DescriptorProto) // Of maps, by their full names.
	for _, nested := range message.GetNestedType() {
		if nested.GetOptions().GetMapEntry() {
			entries["."+within(name, nested.GetName())] = nested
			continue
		}
		e.addMessage(nested, name, key, nil)
	}
	for _, enum := range message.GetEnumType() {
		e.addEnum(enum, name, key, nil)
	}
	for _, extension := range message.GetExtension() {
		e.addExtension(extension, name, key)
	}
	for i, oneof := range message.GetOneofDecl() {
		if !synthetic(message, int32(i)) {
			full := within(name, oneof.GetName())
			e["oneof "+full] = &schemaElement{kind: kindOneof, name: full, parent: key, facts: optionFacts(oneof.GetOptions())}
		}
	}
	for _, field := range message.GetField() {
		element := newField(field, typeOf(field, entries))
		element.kind, element.name, element.parent = kindField, within(name, field.GetName()), key
		if field.OneofIndex != nil && !field.GetProto3Optional() && int(field.GetOneofIndex()) < len(message.GetOneofDecl()) {
			element.facts.set("oneof", message.GetOneofDecl()[field.GetOneofIndex()].GetName())
		}
		e[fmt.Sprintf("field %s %d", name, field.GetNumber())] = element
	}
}

// newField returns what fields and extensions have in common.
func newField(field *descriptorpb.FieldDescriptorProto, typ string) *schemaElement {
	about := optionFacts(field.GetOptions())
	about.set("name", field.GetName())
	about.set("type", typ)
	about.set("JSON name", field.GetJsonName())
	about.set("default", field.GetDefaultValue())
	return &schemaElement{summary: fmt.Sprintf("%s = %d", typ, field.GetNumber()), facts: about}
}

func (e schemaElements) addExtension(field *descriptorpb.FieldDescriptorProto, scope, parent string) {
	element := newField(field, typeOf(field, nil))
	element.kind, element.name, element.parent = kindExtension, within(scope, field.GetName()), parent
	e[fmt.Sprintf("extension %s %d", field.GetExtendee(), field.GetNumber())] = element
}

func (e schemaElements) addEnum(enum *descriptorpb.EnumDescriptorProto, scope, parent string, place facts) {
	name := within(scope, enum.GetName())
	element := &schemaElement{kind: kindEnum, name: name, parent: parent, facts: optionFacts(enum.GetOptions())}
	maps.Copy(element.facts, place)
	var reserved []string
	for _, r := range enum.GetReservedRange() {
		reserved = append(reserved, numbers(r.GetStart(), r.GetEnd()))
	}
	element.facts.set("reserved", strings.Join(append(reserved, enum.GetReservedName()...), ", "))
	key := "enum " + name
	e[key] = element
	for _, value := range enum.GetValue() {
		about := optionFacts(value.GetOptions())
		about.set("name", value.GetName())
		valueKey := fmt.Sprintf("value %s %d", name, value.GetNumber())
		if e[valueKey] != nil { // An alias.
			valueKey += " " + value.GetName()
		}
		e[valueKey] = &schemaElement{
			kind: kindValue, name: within(name, value.GetName()), parent: key,
			summary: "= " + strconv.Itoa(int(value.GetNumber())), facts: about,
		}
	}
}

func within(scope, name string) string {
	if scope == "" {
		return name
	}
	return scope + "." + name
}

// numbers shows a range whose bounds are both in it.
func numbers(first, last int32) string {
	if first == last {
		return strconv.Itoa(int(first))
	}
	return fmt.Sprintf("%d to %d", first, last)
}

// synthetic reports whether a oneof only stands for the word optional.
func synthetic(message *descriptorpb.DescriptorProto, index int32) bool {
	for _, field := range message.GetField() {
		if field.OneofIndex != nil && field.GetOneofIndex() == index && field.GetProto3Optional() {
			return true
		}
	}
	return false
}

// typeOf returns the type of a field as a .proto file says it.
func typeOf(field *descriptorpb.FieldDescriptorProto, entries map[string]*descriptorpb.DescriptorProto) string {
	typ := strings.TrimPrefix(field.GetTypeName(), ".")
	if typ == "" {
		typ = strings.ToLower(strings.TrimPrefix(field.GetType().String(), "TYPE_"))
	}
	if field.GetType() == descriptorpb.FieldDescriptorProto_TYPE_GROUP {
		typ = "group " + typ
	}
	if entry := entries[field.GetTypeName()]; entry != nil && len(entry.GetField()) == 2 {
		return fmt.Sprintf("map<%s, %s>", typeOf(entry.GetField()[0], nil), typeOf(entry.GetField()[1], nil))
	}
	switch {
	case field.GetLabel() == descriptorpb.FieldDescriptorProto_LABEL_REPEATED:
		return "repeated " + typ
	case field.GetLabel() == descriptorpb.FieldDescriptorProto_LABEL_REQUIRED:
		return "required " + typ
	case field.GetProto3Optional():
		return "optional " + typ
	}
	return typ
}

// optionFacts are the options of a descriptor: those of the contract by the
// names that people know, the others by their own.
func optionFacts(options proto.Message) facts {
	about := make(facts)
	message := options.ProtoReflect()
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.FullName() == "tidings.options.v1.event":
			value.Message().Range(func(part protoreflect.FieldDescriptor, value protoreflect.Value) bool {
				about.set(string(part.Name()), shownOption(part, value))
				return true
			})
		case field.IsExtension() && field.ParentFile().Package() == "buf.validate":
			about.set("rules", shownOption(field, value))
		case field.IsExtension():
			about.set("("+string(field.FullName())+")", shownOption(field, value))
		default:
			about.set(string(field.Name()), shownOption(field, value))
		}
		return true
	})
	if unknown := message.GetUnknown(); len(unknown) > 0 {
		// Of options that aren't the contract's only the encoded form is known.
		about.set("other options", fmt.Sprintf("%x", []byte(unknown)))
	}
	return about
}

func shownOption(field protoreflect.FieldDescriptor, value protoreflect.Value) string {
	if field.IsList() {
		var parts []string
		for i := range value.List().Len() {
			parts = append(parts, shownScalar(field, value.List().Get(i)))
		}
		return strings.Join(parts, ", ")
	}
	return shownScalar(field, value)
}

func shownScalar(field protoreflect.FieldDescriptor, value protoreflect.Value) string {
	switch {
	case field.Message() != nil:
		text, err := toJSON(context.Background(), nil, value.Message().Interface())
		if err != nil {
			return err.Error()
		}
		return string(text)
	case field.Enum() != nil:
		if known := field.Enum().Values().ByNumber(value.Enum()); known != nil {
			return string(known.Name())
		}
	}
	return fmt.Sprint(value.Interface())
}
