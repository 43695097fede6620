package openapi

import (
	"errors"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// scalar returns the schema of a value in protobuf's JSON mapping.
func scalar(kind protoreflect.Kind) *object {
	switch kind {
	case protoreflect.BoolKind:
		return newObject("type", "boolean")
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return newObject("type", "integer", "format", "int32")
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return newObject("type", "integer", "minimum", 0, "maximum", uint32(1<<32-1))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		// Answers have texts, because many languages have no such numbers.
		return newObject("type", []string{"string", "integer"}, "format", "int64", "pattern", "^-?[0-9]+$")
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return newObject("type", []string{"string", "integer"}, "pattern", "^[0-9]+$")
	case protoreflect.FloatKind:
		return newObject("type", "number", "format", "float")
	case protoreflect.DoubleKind:
		return newObject("type", "number", "format", "double")
	case protoreflect.BytesKind:
		return newObject("type", "string", "contentEncoding", "base64")
	default:
		return newObject("type", "string")
	}
}

// sameKeywords are rules of protovalidate whose value is that of a keyword.
var sameKeywords = map[protoreflect.FullName]string{
	"buf.validate.StringRules.pattern":     "pattern",
	"buf.validate.StringRules.min_len":     "minLength",
	"buf.validate.StringRules.max_len":     "maxLength",
	"buf.validate.RepeatedRules.min_items": "minItems",
	"buf.validate.RepeatedRules.max_items": "maxItems",
	"buf.validate.RepeatedRules.unique":    "uniqueItems",
	"buf.validate.MapRules.min_pairs":      "minProperties",
	"buf.validate.MapRules.max_pairs":      "maxProperties",
}

// formats are rules about texts that are the values of format.
var formats = map[protoreflect.Name]string{
	"uri": "uri", "uri_ref": "uri-reference", "uuid": "uuid", "email": "email",
	"hostname": "hostname", "ipv4": "ipv4", "ipv6": "ipv6",
}

// numbers are the keywords of bounds.
var numbers = map[protoreflect.Name]string{
	"gte": "minimum", "lte": "maximum", "gt": "exclusiveMinimum", "lt": "exclusiveMaximum",
}

// keywords puts rules into a schema. It returns false if that can't say them all.
func keywords(schema *object, rules *validate.FieldRules) bool {
	if rules == nil || rules.GetIgnore() == validate.Ignore_IGNORE_IF_ZERO_VALUE {
		return rules == nil // Zero values are said only in words.
	}
	complete := len(rules.GetCel())+len(rules.GetCelExpression()) == 0
	message := rules.ProtoReflect()
	kind := message.WhichOneof(message.Descriptor().Oneofs().ByName("type"))
	if kind == nil {
		return complete
	}
	typed := message.Get(kind).Message()
	for i := range typed.Descriptor().Fields().Len() { // Range has no order.
		if rule := typed.Descriptor().Fields().Get(i); typed.Has(rule) {
			complete = keyword(schema, rule, typed.Get(rule)) && complete
		}
	}
	return complete
}

// keyword puts one rule into a schema. It returns false if it doesn't know how.
func keyword(schema *object, rule protoreflect.FieldDescriptor, value protoreflect.Value) bool {
	if name, ok := sameKeywords[rule.FullName()]; ok {
		schema.set(name, value.Interface())
		return true
	}
	if format, ok := formats[rule.Name()]; ok && value.Bool() {
		schema.set("format", format)
		return true
	}
	if name, ok := numbers[rule.Name()]; ok && rule.Message() == nil {
		schema.set(name, value.Interface())
		return true
	}
	switch rule.FullName() {
	case "buf.validate.StringRules.const":
		schema.set("const", value.String())
	case "buf.validate.StringRules.in":
		schema.set("enum", texts(value.List()))
	case "buf.validate.StringRules.not_in":
		schema.set("not", newObject("enum", texts(value.List())))
	case "buf.validate.EnumRules.defined_only":
		// In JSON a value has a name.
	case "buf.validate.RepeatedRules.items", "buf.validate.MapRules.keys", "buf.validate.MapRules.values":
		// These are in the schemas of what the field holds.
	default:
		return false
	}
	return true
}

func texts(list protoreflect.List) []string {
	var all []string
	for i := range list.Len() {
		all = append(all, list.Get(i).String())
	}
	return all
}

// errorsAs returns the rules that a message breaks, if that is the error.
func errorsAs(err error) (*protovalidate.ValidationError, bool) {
	return errors.AsType[*protovalidate.ValidationError](err)
}
