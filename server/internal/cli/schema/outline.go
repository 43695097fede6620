package schema

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"example.com/tidings/server/internal/cli/command"
)

// outline shows an event type to people: what it declares, its fields, and the
// messages and enums that they use.
func outline(w io.Writer, t *command.PayloadType) error {
	about := [][]string{{"name:", t.EventType.GetName()}}
	for _, fact := range [][]string{
		{"topic:", t.EventType.GetTopic()},
		{"key:", t.EventType.GetKey()},
		{"deprecated:", command.Yes(t.EventType.GetDeprecated())},
		{"revision:", t.EventType.GetRevision()},
	} {
		if fact[1] != "" {
			about = append(about, fact)
		}
	}
	if err := command.Table(w, about...); err != nil {
		return err
	}
	// A comment's lines begin with the space that follows the slashes.
	description := strings.ReplaceAll(strings.TrimSpace(t.EventType.GetDescription()), "\n ", "\n")
	if description != "" {
		fmt.Fprintf(w, "\n%s\n", command.Printable(description))
	}
	var failed error
	reachable(t.Message.Descriptor(), make(map[protoreflect.FullName]bool), func(d protoreflect.Descriptor) {
		if failed != nil {
			return
		}
		switch d := d.(type) {
		case protoreflect.MessageDescriptor:
			failed = messageTable(w, d)
		case protoreflect.EnumDescriptor:
			failed = enumTable(w, d)
		}
	})
	return failed
}

// reachable visits a message or enum and then what its fields use, each once.
// Protobuf's own types are known well enough.
func reachable(d protoreflect.Descriptor, seen map[protoreflect.FullName]bool, visit func(protoreflect.Descriptor)) {
	if seen[d.FullName()] || d.ParentFile().Package() == "google.protobuf" {
		return
	}
	seen[d.FullName()] = true
	message, ok := d.(protoreflect.MessageDescriptor)
	if ok && message.IsMapEntry() {
		reachableFields(message, seen, visit)
		return
	}
	visit(d)
	if ok {
		reachableFields(message, seen, visit)
	}
}

func reachableFields(message protoreflect.MessageDescriptor, seen map[protoreflect.FullName]bool, visit func(protoreflect.Descriptor)) {
	for i := range message.Fields().Len() {
		field := message.Fields().Get(i)
		switch {
		case field.Message() != nil:
			reachable(field.Message(), seen, visit)
		case field.Enum() != nil:
			reachable(field.Enum(), seen, visit)
		}
	}
}

func messageTable(w io.Writer, message protoreflect.MessageDescriptor) error {
	fmt.Fprintf(w, "\nmessage %s\n", message.FullName())
	rows := [][]string{{"  NUMBER", "FIELD", "TYPE", "RULES"}}
	for i := range message.Fields().Len() {
		field := message.Fields().Get(i)
		rows = append(rows, []string{"  " + strconv.Itoa(int(field.Number())), string(field.Name()), fieldType(field), fieldRules(field)})
	}
	if err := command.Table(w, rows...); err != nil {
		return err
	}
	rules, _ := proto.GetExtension(message.Options(), validate.E_Message).(*validate.MessageRules)
	for _, rule := range rules.GetCel() {
		fmt.Fprintf(w, "  %s: %s\n", command.OneLine(rule.GetId()), command.OneLine(rule.GetMessage()))
	}
	return nil
}

func enumTable(w io.Writer, enum protoreflect.EnumDescriptor) error {
	fmt.Fprintf(w, "\nenum %s\n", enum.FullName())
	rows := [][]string{{"  NUMBER", "VALUE"}}
	for i := range enum.Values().Len() {
		value := enum.Values().Get(i)
		rows = append(rows, []string{"  " + strconv.Itoa(int(value.Number())), string(value.Name())})
	}
	return command.Table(w, rows...)
}

// fieldType returns the type of a field as a .proto file says it.
func fieldType(field protoreflect.FieldDescriptor) string {
	switch {
	case field.IsMap():
		return fmt.Sprintf("map<%s, %s>", fieldType(field.MapKey()), fieldType(field.MapValue()))
	case field.IsList():
		return "repeated " + valueType(field)
	case field.HasOptionalKeyword():
		return "optional " + valueType(field)
	}
	return valueType(field)
}

func valueType(field protoreflect.FieldDescriptor) string {
	switch {
	case field.Message() != nil:
		return string(field.Message().FullName())
	case field.Enum() != nil:
		return string(field.Enum().FullName())
	}
	return field.Kind().String()
}

// fieldRules returns the protovalidate rules of a field as JSON.
func fieldRules(field protoreflect.FieldDescriptor) string {
	rules, _ := proto.GetExtension(field.Options(), validate.E_Field).(*validate.FieldRules)
	if rules == nil || proto.Size(rules) == 0 {
		return ""
	}
	text, err := command.ToJSON(context.Background(), nil, rules)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
