package schema

import (
	"errors"
	"fmt"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// InvalidError says which rules of its type a payload breaks.
type InvalidError struct {
	// Violations holds at least one. Paths start at the payload.
	Violations *validate.Violations
}

func (e *InvalidError) Error() string {
	first := e.Violations.GetViolations()[0]
	text := fmt.Sprintf("%s: %s", protovalidate.FieldPathString(first.GetField()), first.GetMessage())
	if more := len(e.Violations.GetViolations()) - 1; more > 0 {
		text += fmt.Sprintf(" (and %d more)", more)
	}
	return text
}

// newInvalidError copies the violations by way of their encoding: the map keys
// in their paths point into the memory of the payload, which is used again.
func newInvalidError(err *protovalidate.ValidationError) error {
	encoded, marshalErr := proto.Marshal(err.ToProto())
	if marshalErr != nil {
		return marshalErr
	}
	violations := new(validate.Violations)
	if err := proto.Unmarshal(encoded, violations); err != nil {
		return err
	}
	return &InvalidError{Violations: violations}
}

// UnknownField returns an *InvalidError where a message of the contract, or one
// that it holds in a field of its own, has a field that the contract lacks.
func UnknownField(message protoreflect.Message) error {
	if unknown := message.GetUnknown(); len(unknown) > 0 {
		number, _, _ := protowire.ConsumeField(unknown)
		return unknownField(number, fmt.Sprintf("%s has no field %d in this release of the contract", message.Descriptor().FullName(), number)).err()
	}
	var err error
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if field.Message() == nil || field.IsList() || field.IsMap() {
			return true
		}
		err = UnknownField(value.Message())
		if invalid, ok := errors.AsType[*InvalidError](err); ok {
			path := invalid.Violations.GetViolations()[0].GetField()
			path.Elements = append([]*validate.FieldPathElement{elementOf(field)}, path.GetElements()...)
		}
		return err == nil
	})
	return err
}
