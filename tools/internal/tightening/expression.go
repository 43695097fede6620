package tightening

import (
	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// rulesWithExpressions are those of a field or of a message.
type rulesWithExpressions interface {
	proto.Message
	GetCel() []*validate.Rule
	GetCelExpression() []string
}

// compareExpressions compares what is written in CEL. Each has to follow from the
// old ones, whatever its id and message, or can't be compared.
func compareExpressions(r *report, at place, was, is rulesWithExpressions) {
	old := readConditions(append(expressions(was.GetCel()), was.GetCelExpression()...)...)
	fields := is.ProtoReflect().Descriptor().Fields()
	for i, rule := range is.GetCel() {
		if !old.imply(rule.GetExpression()) {
			r.unknownf(at.field(fields.ByName("cel")).index(i), "%q was added or changed", rule.GetId())
		}
	}
	for i, expression := range is.GetCelExpression() {
		if !old.imply(expression) {
			r.unknownf(at.field(fields.ByName("cel_expression")).index(i), "%q was added or changed", expression)
		}
	}
}

func expressions(rules []*validate.Rule) []string {
	list := make([]string, len(rules))
	for i, rule := range rules {
		list[i] = rule.GetExpression()
	}
	return list
}

// Predefined returns what a rule that an organisation defined refuses, wherever
// it is used. The rule is an extension of the rules of a kind; the path of each
// finding begins in its options.
func Predefined(was, is protoreflect.FieldDescriptor) ([]Finding, error) {
	old, err := protovalidate.ResolvePredefinedRules(was)
	if err != nil {
		return nil, err
	}
	present, err := protovalidate.ResolvePredefinedRules(is)
	if err != nil {
		return nil, err
	}
	r := &report{}
	at := optionPlace(validate.E_Predefined)
	before := readConditions(expressions(old.GetCel())...)
	for i, rule := range present.GetCel() {
		if !before.imply(rule.GetExpression()) {
			r.unknownf(at.field(present.ProtoReflect().Descriptor().Fields().ByName("cel")).index(i), "%q was added or changed", rule.GetId())
		}
	}
	return r.findings, nil
}
