package schema

import (
	"fmt"
	"slices"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
)

// The ids of the rules that hold for every payload, whatever its schema says.
const (
	// readableRule: every value has a form in JSON.
	readableRule = "tidings.json_representable"
	// unknownFieldRule: the schema has every field.
	unknownFieldRule = "tidings.unknown_field"
	// closedEnumRule: a closed enum has every number.
	closedEnumRule = "tidings.closed_enum"
	// requiredRule: a field that is `required` in proto2, or LEGACY_REQUIRED in
	// an edition, is set.
	requiredRule = "tidings.required"
)

// refusal is why a payload is refused without a rule of its own schema.
type refusal struct {
	rule    string // Empty: it isn't an encoding of its type.
	message string
	// path leads to the value, its last element first.
	path []*validate.FieldPathElement
	// index is that of the value among packed ones.
	index int
}

func malformed(message string) *refusal { return &refusal{message: message} }

// below adds the field that the place lies below.
func (r *refusal) below(element *validate.FieldPathElement) *refusal {
	r.path = append(r.path, element)
	return r
}

// err is the refusal as Check returns it.
func (r *refusal) err() error {
	slices.Reverse(r.path)
	field := &validate.FieldPath{Elements: r.path}
	if r.rule != "" {
		return newRefused(&validate.Violation{Field: field, RuleId: &r.rule, Message: &r.message})
	}
	if len(r.path) == 0 {
		return fmt.Errorf("%w: %s", ErrMalformed, r.message)
	}
	return fmt.Errorf("%w: %s: %s", ErrMalformed, protovalidate.FieldPathString(field), r.message)
}

func newRefused(violations ...*validate.Violation) error {
	return &InvalidError{Violations: &validate.Violations{Violations: violations}}
}
