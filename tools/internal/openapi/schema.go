package openapi

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"example.com/tidings/tools/internal/contract"
	"example.com/tidings/tools/internal/ruletext"
)

// schemas collects the schemas of messages and enums in JSON, each once.
type schemas struct {
	found     map[string]*object
	validator protovalidate.Validator
	options   contract.Options
	// requests are the messages that requests consist of. What they don't have is
	// refused; an answer may have more than a client knows.
	requests map[protoreflect.FullName]bool
	err      error
}

const schemaPath = "#/components/schemas/"

// ref leads to the schema of a message or an enum.
func (s *schemas) ref(d protoreflect.Descriptor) *object {
	name := string(d.FullName())
	if s.found[name] == nil {
		s.found[name] = newObject() // It may contain itself.
		switch d := d.(type) {
		case protoreflect.MessageDescriptor:
			if known := wellKnown[name]; known != nil {
				s.found[name] = known()
			} else {
				*s.found[name] = *s.message(d)
			}
		case protoreflect.EnumDescriptor:
			s.found[name] = enum(d)
		}
	}
	return newObject("$ref", schemaPath+name)
}

// all returns the schemas by name.
func (s *schemas) all() *object {
	all := newObject()
	for _, name := range slices.Sorted(maps.Keys(s.found)) {
		all.set(name, s.found[name])
	}
	return all
}

// request notes that requests consist of a message and of what it holds.
func (s *schemas) request(d protoreflect.MessageDescriptor) {
	if s.requests[d.FullName()] {
		return
	}
	s.requests[d.FullName()] = true
	for i := range d.Fields().Len() {
		if field := d.Fields().Get(i); field.Message() != nil {
			s.request(field.Message())
		}
	}
}

func (s *schemas) message(d protoreflect.MessageDescriptor) *object {
	schema := newObject("type", "object")
	describe(schema, d, s.words(ruletext.Message(d)))
	properties := newObject()
	for i := range d.Fields().Len() {
		properties.set(d.Fields().Get(i).JSONName(), s.field(d.Fields().Get(i)))
	}
	if d.Fields().Len() > 0 {
		schema.set("properties", properties)
	}
	if required := s.required(d); len(required) > 0 {
		schema.set("required", required)
	}
	if oneofs := s.oneofs(d); len(oneofs) > 0 {
		schema.set("allOf", oneofs)
	}
	if s.requests[d.FullName()] {
		schema.set("additionalProperties", false)
	}
	return schema
}

// required returns the fields without which a message of the type is invalid.
func (s *schemas) required(d protoreflect.MessageDescriptor) []string {
	var required []string
	err := s.validator.Validate(dynamicpb.NewMessage(d))
	if invalid, ok := errorsAs(err); ok {
		for _, violation := range invalid.Violations {
			path := violation.Proto.GetField().GetElements()
			if len(path) != 1 {
				continue
			}
			field := d.Fields().ByNumber(protoreflect.FieldNumber(path[0].GetFieldNumber()))
			if field != nil && !slices.Contains(required, field.JSONName()) {
				required = append(required, field.JSONName())
			}
		}
	} else if err != nil {
		s.fail(fmt.Errorf("%s: %w", d.FullName(), err))
	}
	return required
}

// oneofs say of each oneof that at most one of its fields is there.
func (s *schemas) oneofs(d protoreflect.MessageDescriptor) []*object {
	var all []*object
	for i := range d.Oneofs().Len() {
		oneof := d.Oneofs().Get(i)
		if oneof.IsSynthetic() || oneof.Fields().Len() < 2 {
			continue
		}
		var one []*object
		for j := range oneof.Fields().Len() {
			one = append(one, newObject("required", []string{oneof.Fields().Get(j).JSONName()}))
		}
		rules, err := protovalidate.ResolveOneofRules(oneof)
		s.fail(err)
		if !rules.GetRequired() {
			one = append(one, newObject("not", newObject("anyOf", slices.Clone(one))))
		}
		all = append(all, newObject("oneOf", one))
	}
	return all
}

// field returns the schema of a field.
func (s *schemas) field(d protoreflect.FieldDescriptor) *object {
	rules, err := protovalidate.ResolveFieldRules(d)
	s.fail(err)
	if rules.GetIgnore() == validate.Ignore_IGNORE_ALWAYS {
		rules = nil
	}
	schema, complete := s.value(d, rules)
	var words []string
	if !complete {
		words = s.words(ruletext.Field(d))
	}
	describe(schema, d, words)
	if options, ok := d.Options().(*descriptorpb.FieldOptions); ok && options.GetDeprecated() {
		schema.set("deprecated", true)
	}
	behavior, err := s.options.Behavior(d)
	s.fail(err)
	if behavior == contract.OutputOnly {
		schema.set("readOnly", true)
	}
	return schema
}

// value returns the schema of what a field holds, and whether it says all that its
// rules say.
func (s *schemas) value(d protoreflect.FieldDescriptor, rules *validate.FieldRules) (*object, bool) {
	switch {
	case d.IsMap():
		keys, known := s.single(d.MapKey(), rules.GetMap().GetKeys())
		values, alsoKnown := s.single(d.MapValue(), rules.GetMap().GetValues())
		schema := newObject("type", "object", "propertyNames", keys, "additionalProperties", values)
		return schema, keywords(schema, rules) && known && alsoKnown
	case d.IsList():
		items, known := s.single(d, rules.GetRepeated().GetItems())
		schema := newObject("type", "array", "items", items)
		return schema, keywords(schema, rules) && known
	default:
		return s.single(d, rules)
	}
}

func (s *schemas) single(d protoreflect.FieldDescriptor, rules *validate.FieldRules) (*object, bool) {
	var schema *object
	switch {
	case d.Message() != nil:
		schema = s.ref(d.Message())
	case d.Enum() != nil:
		schema = s.ref(d.Enum())
	default:
		schema = scalar(d.Kind())
	}
	return schema, keywords(schema, rules)
}

// words ends in what was said.
func (s *schemas) words(phrases []string, err error) []string {
	s.fail(err)
	return phrases
}

// fail keeps the first error.
func (s *schemas) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

// describe gives a schema the comment of an element, and its rules in words.
func describe(schema *object, d protoreflect.Descriptor, rules []string) {
	paragraphs := contract.Comment(d)
	if len(rules) > 0 {
		paragraphs = append(paragraphs, "Rules: "+strings.Join(rules, "; ")+".")
	}
	if len(paragraphs) > 0 {
		schema.set("description", strings.Join(paragraphs, "\n\n"))
	}
}

// enum returns the schema of an enum: the names of its values.
func enum(d protoreflect.EnumDescriptor) *object {
	schema := newObject("type", "string")
	paragraphs := contract.Comment(d)
	var names, meanings []string
	for i := range d.Values().Len() {
		value := d.Values().Get(i)
		names = append(names, string(value.Name()))
		if comment := contract.Comment(value); len(comment) > 0 {
			meanings = append(meanings, "- `"+string(value.Name())+"`: "+strings.Join(comment, " "))
		}
	}
	if len(meanings) > 0 {
		paragraphs = append(paragraphs, strings.Join(meanings, "\n"))
	}
	if len(paragraphs) > 0 {
		schema.set("description", strings.Join(paragraphs, "\n\n"))
	}
	schema.set("enum", names)
	return schema
}
