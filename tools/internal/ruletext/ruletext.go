// Package ruletext says in words, in Markdown, what rules of protovalidate ask for.
package ruletext

import (
	"fmt"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Field returns what the rules of a field ask for, a phrase each. A field without
// rules has none.
func Field(field protoreflect.FieldDescriptor) ([]string, error) {
	rules, err := protovalidate.ResolveFieldRules(field)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", field.FullName(), err)
	}
	return fieldPhrases(rules, element(field)), nil
}

// element is what a list holds or a map's values are, or the field itself.
func element(field protoreflect.FieldDescriptor) protoreflect.FieldDescriptor {
	if field.IsMap() {
		return field.MapValue()
	}
	return field
}

// Oneof returns how many of its fields a oneof has set.
func Oneof(oneof protoreflect.OneofDescriptor) (string, error) {
	rules, err := protovalidate.ResolveOneofRules(oneof)
	if err != nil {
		return "", fmt.Errorf("%s: %w", oneof.FullName(), err)
	}
	var names []string
	for i := range oneof.Fields().Len() {
		names = append(names, string(oneof.Fields().Get(i).Name()))
	}
	return oneOf(names, rules.GetRequired()), nil
}

// Message returns what is asked of a message as a whole.
func Message(message protoreflect.MessageDescriptor) ([]string, error) {
	rules, err := protovalidate.ResolveMessageRules(message)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", message.FullName(), err)
	}
	var phrases []string
	for _, oneof := range rules.GetOneof() {
		phrases = append(phrases, oneOf(oneof.GetFields(), oneof.GetRequired()))
	}
	return append(phrases, expressionPhrases(rules.GetCel(), rules.GetCelExpression())...), nil
}

func oneOf(fields []string, required bool) string {
	if required {
		return "exactly one of " + list(fields) + " is set"
	}
	return "at most one of " + list(fields) + " is set"
}

func fieldPhrases(rules *validate.FieldRules, field protoreflect.FieldDescriptor) []string {
	if rules == nil || rules.GetIgnore() == validate.Ignore_IGNORE_ALWAYS {
		return nil
	}
	var phrases []string
	if rules.GetRequired() {
		phrases = append(phrases, "required")
	}
	message := rules.ProtoReflect()
	if kind := message.WhichOneof(message.Descriptor().Oneofs().ByName("type")); kind != nil {
		phrases = append(phrases, typePhrases(message.Get(kind).Message(), field)...)
	}
	phrases = append(phrases, expressionPhrases(rules.GetCel(), rules.GetCelExpression())...)
	if rules.GetIgnore() == validate.Ignore_IGNORE_IF_ZERO_VALUE && len(phrases) > 0 {
		phrases[0] = "unless it has its zero value: " + phrases[0]
	}
	return phrases
}

// expressionPhrases returns what CEL expressions ask for: their own message where
// they have one.
func expressionPhrases(rules []*validate.Rule, expressions []string) []string {
	var phrases []string
	for _, rule := range rules {
		switch {
		case rule.GetMessage() != "":
			phrases = append(phrases, rule.GetMessage())
		default:
			phrases = append(phrases, code(rule.GetExpression()))
		}
	}
	for _, expression := range expressions {
		phrases = append(phrases, code(expression))
	}
	return phrases
}

// typePhrases returns what the rules for fields of one type ask for. What it knows
// no words for, it gives as it is written.
func typePhrases(rules protoreflect.Message, of protoreflect.FieldDescriptor) []string {
	var phrases []string
	said := make(map[protoreflect.Name]bool)
	for _, bounds := range bounds {
		if phrase := bounds.phrase(rules); phrase != "" {
			phrases = append(phrases, phrase)
			said[bounds.low], said[bounds.high] = true, true
		}
	}
	fields := rules.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if rules.Has(field) && !said[field.Name()] {
			phrases = append(phrases, phrasesOf(field, rules.Get(field), of)...)
		}
	}
	return phrases
}

// phrasesOf returns what a rule asks for.
func phrasesOf(rule protoreflect.FieldDescriptor, value protoreflect.Value, of protoreflect.FieldDescriptor) []string {
	switch rule.Name() {
	case "pattern":
		return []string{"matches " + code(value.String())}
	case "const":
		return []string{code(text(rule, value)) + " and nothing else"}
	case "in":
		return []string{"one of " + list(texts(rule, value.List(), of))}
	case "not_in":
		return []string{"none of " + list(texts(rule, value.List(), of))}
	case "defined_only":
		return []string{"a value that the enum names"}
	case "unique":
		return []string{"no two are equal"}
	case "items", "keys", "values":
		each := map[protoreflect.Name]string{"items": "each", "keys": "each key", "values": "each value"}[rule.Name()]
		rules, _ := value.Message().Interface().(*validate.FieldRules)
		var phrases []string
		for _, phrase := range fieldPhrases(rules, of) {
			phrases = append(phrases, each+": "+phrase)
		}
		return phrases
	case "example":
		return nil
	default:
		if rule.Kind() == protoreflect.BoolKind && value.Bool() {
			return []string{code(string(rule.Name()))}
		}
		return []string{code(string(rule.Name()) + ": " + text(rule, value))}
	}
}

// list names alternatives.
func list(names []string) string {
	var all []string
	for _, name := range names {
		all = append(all, code(name))
	}
	return strings.Join(all, ", ")
}

// code sets a text in the type of code, whatever it holds.
func code(text string) string {
	fence := "`"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	if len(fence) > 1 {
		return fence + " " + text + " " + fence
	}
	return fence + text + fence
}
