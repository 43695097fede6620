package service

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// CheckRequest checks a message against the rules of the contract and returns
// REQUEST_INVALID where it breaks one.
func CheckRequest(message proto.Message) error {
	return checkRules(message, tidingsv1.ErrorReason_ERROR_REASON_REQUEST_INVALID)
}

// checkRules checks a message of the contract. Paths start at it, after the
// prefix.
func checkRules(message proto.Message, reason tidingsv1.ErrorReason, prefix ...*validate.FieldPathElement) error {
	if path, wrong := wrongTime(message.ProtoReflect()); path != nil {
		return violationFault(reason, &validate.Violations{Violations: []*validate.Violation{{
			Field: &validate.FieldPath{Elements: path}, Message: &wrong,
		}}}, prefix...)
	}
	err := protovalidate.Validate(message)
	if invalid, ok := errors.AsType[*protovalidate.ValidationError](err); ok {
		return violationFault(reason, invalid.ToProto(), prefix...)
	}
	return err
}

// violationFault makes an error from the rules that were broken. Paths get a
// prefix, which leads from the request to the message that was checked.
func violationFault(reason tidingsv1.ErrorReason, violations *validate.Violations, prefix ...*validate.FieldPathElement) *Error {
	list, total := violations.GetViolations(), len(violations.GetViolations())
	list = list[:min(total, maxViolations)]
	e := &Error{Reason: reason, Violations: &validate.Violations{Violations: list}, total: total}
	var text []string
	for _, violation := range list {
		if violation.GetField() == nil {
			violation.Field = new(validate.FieldPath)
		}
		violation.Field.Elements = slices.Concat(prefix, violation.GetField().GetElements())
		field := protovalidate.FieldPathString(violation.GetField())
		e.Fields = append(e.Fields, &tidingsv1.FieldViolation{
			Field:       field,
			Description: violation.GetMessage(),
			RuleId:      violation.GetRuleId(),
		})
		if len(text) < 3 {
			text = append(text, strings.TrimPrefix(field+": "+violation.GetMessage(), ": "))
		}
	}
	e.Message = strings.Join(text, "; ")
	if more := total - len(text); more > 0 {
		e.Message = fmt.Sprintf("%s; and %d more", shorten(e.Message, maxMessageBytes-20), more)
	}
	return e
}

// eventPath leads from a request to one of its events.
func eventPath(index int64) *validate.FieldPathElement {
	return &validate.FieldPathElement{
		FieldName: new("events"),
		Subscript: &validate.FieldPathElement_Index{Index: uint64(index)},
	}
}

func fieldPath(name string) *validate.FieldPathElement {
	return &validate.FieldPathElement{FieldName: &name}
}
