package schema

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// largePayload is the size, in bytes, of payloads that are refused for the first
// rule that they break, so that a million wrong elements cost no more than one.
// Their checks end with the context.
const largePayload = 64 << 10

// validate applies the rules of the type to a payload of a size.
func (t *Type) validate(ctx context.Context, message proto.Message, size int) error {
	var err error
	if size < largePayload {
		err = t.shared.validator.Validate(message)
	} else {
		err = t.shared.validator.Validate(message, protovalidate.WithFailFast(), whileLasts(ctx))
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if err == nil {
		return nil
	}
	if invalid, ok := errors.AsType[*protovalidate.ValidationError](err); ok {
		return newInvalidError(invalid)
	}
	if failed, ok := errors.AsType[*protovalidate.RuntimeError](err); ok {
		return t.failedRule(message, failed)
	}
	return fmt.Errorf("rules of %s: %w", t.Name, err)
}

// whileLasts skips the rules that are left when a context ends.
func whileLasts(ctx context.Context) protovalidate.ValidationOption {
	return protovalidate.WithFilter(protovalidate.FilterFunc(func(protoreflect.Message, protoreflect.Descriptor) bool {
		return ctx.Err() == nil
	}))
}

// failedRule is the *InvalidError for a payload with which a rule in CEL can't be
// evaluated: it divides by zero, say. protovalidate tells neither the field nor, but
// in its text, the rule.
func (t *Type) failedRule(message proto.Message, failed *protovalidate.RuntimeError) error {
	var at protoreflect.Descriptor // The last that was looked at before it failed.
	_ = t.shared.validator.Validate(message, protovalidate.WithFilter(protovalidate.FilterFunc(
		func(_ protoreflect.Message, descriptor protoreflect.Descriptor) bool {
			at = descriptor
			return true
		})))
	violation := &validate.Violation{Field: new(validate.FieldPath), RuleId: new("")}
	where := ""
	if field, ok := at.(protoreflect.FieldDescriptor); ok && field.Parent() == t.descriptor {
		violation.Field.Elements = []*validate.FieldPathElement{elementOf(field)}
	} else if at != nil && at != t.descriptor {
		where = " of " + string(at.FullName())
	}
	text := failed.Error()
	if evaluating := failed.Unwrap(); evaluating != nil && errors.Unwrap(evaluating) != nil {
		cause := errors.Unwrap(evaluating).Error()
		id := strings.TrimSuffix(strings.TrimPrefix(evaluating.Error(), "error evaluating "), ": "+cause)
		violation.RuleId = &id
		text = fmt.Sprintf("the rule %q%s can't be evaluated: %s", id, where, cause)
	}
	violation.Message = &text
	return newRefused(violation)
}
