package schema

import (
	"fmt"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
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
