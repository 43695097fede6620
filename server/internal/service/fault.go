package service

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/tidings/server/internal/auth"
	"example.com/tidings/server/internal/delivery"
	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/filter"
	"example.com/tidings/server/internal/quota"
	"example.com/tidings/server/internal/schema"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// Reason is a value of one of the contract's catalogues: of tidingsv1.ErrorReason or
// of what tidingsv1beta1.ErrorReason adds.
type Reason interface {
	protoreflect.Enum
	fmt.Stringer
}

// Error is an error from the contract's catalogues. Every other error that the
// methods of this package return is the server's fault.
type Error struct {
	Reason   Reason
	Message  string
	Metadata map[string]string
	// Fields are the fields that broke a rule, at most maxViolations.
	Fields []*tidingsv1.FieldViolation
	// Violations are the same as protovalidate has them. nil where no rule of
	// protovalidate was broken.
	Violations *validate.Violations
	// RetryDelay is how long to wait before sending the same again. 0: the
	// client's backoff will do.
	RetryDelay time.Duration

	total int   // How many fields broke a rule, where that isn't the number of Fields.
	cause error // What is behind it, for the log. nil: nothing more is known.
}

func (e *Error) Error() string { return e.Message }

// Name is the reason as google.rpc.ErrorInfo has it: without its prefix.
func (e *Error) Name() string {
	return strings.TrimPrefix(e.Reason.String(), "ERROR_REASON_")
}

// Options returns what a client may conclude from the reason.
func (e *Error) Options() *tidingsv1.ErrorReasonOptions {
	value := e.Reason.Descriptor().Values().ByNumber(e.Reason.Number())
	options, _ := value.Options().(*descriptorpb.EnumValueOptions)
	result, _ := proto.GetExtension(options, tidingsv1.E_Error).(*tidingsv1.ErrorReasonOptions)
	return result
}

// Proto returns the error as a part of a response of tidings.v1.
func (e *Error) Proto() *tidingsv1.ErrorDetail {
	reason, _ := e.Reason.(tidingsv1.ErrorReason)
	result := &tidingsv1.ErrorDetail{
		Reason:          reason,
		Code:            e.Options().GetCode(),
		Message:         e.Message,
		Metadata:        e.Metadata,
		FieldViolations: e.Fields,
	}
	if e.RetryDelay > 0 {
		result.RetryDelay = durationpb.New(e.RetryDelay)
	}
	return result
}

// ErrorOf is the inverse of Proto.
func ErrorOf(e *tidingsv1.ErrorDetail) *Error {
	return &Error{
		Reason:     e.GetReason(),
		Message:    e.GetMessage(),
		Metadata:   e.GetMetadata(),
		Fields:     e.GetFieldViolations(),
		RetryDelay: e.GetRetryDelay().AsDuration(),
	}
}

// retryDelay is what clients are told to wait where the storage or the server
// is unavailable.
const retryDelay = time.Second

// fault makes an error from pairs of metadata keys and values.
func fault(reason Reason, message string, metadata ...string) *Error {
	e := &Error{Reason: reason, Message: message}
	for pair := range slices.Chunk(metadata, 2) {
		if e.Metadata == nil {
			e.Metadata = make(map[string]string)
		}
		e.Metadata[pair[0]] = pair[1]
	}
	return e
}

// fieldFault makes an error about one field.
func fieldFault(reason Reason, field, description string, metadata ...string) *Error {
	e := fault(reason, field+": "+description, metadata...)
	e.Fields = []*tidingsv1.FieldViolation{{Field: field, Description: description}}
	return e
}

// Malformed is the error for a request that couldn't be decoded. The field is
// empty where it isn't known.
func Malformed(field, description string) *Error {
	if field == "" {
		return fault(tidingsv1.ErrorReason_ERROR_REASON_REQUEST_MALFORMED, description)
	}
	return fieldFault(tidingsv1.ErrorReason_ERROR_REASON_REQUEST_MALFORMED, field, description)
}

// Undecodable is the error for a request that isn't an encoding of its message. The
// library's text has a no-break space in some builds and a space in others.
func Undecodable(err error) *Error {
	return Malformed("", strings.ReplaceAll(err.Error(), "\u00a0", " "))
}

// TooDeep is the error for an event whose content, at a path, nests deeper than
// schema.MaxDepth.
func TooDeep(path string) *Error {
	return fieldFault(tidingsv1.ErrorReason_ERROR_REASON_EVENT_MALFORMED, path+".value", schema.TooDeep)
}

// AsError returns the error of the catalogue that an error is or amounts to, short
// enough to be sent. An error of no known kind is logged, and the client gets INTERNAL with an id
// by which to find it.
func AsError(ctx context.Context, log *slog.Logger, err error) *Error {
	if fault := accessFault(err); fault != nil {
		return fault.bounded()
	}
	if fault := accessFault(context.Cause(ctx)); fault != nil { // It ended the call, whatever came of that.
		return fault.bounded()
	}
	var known *Error
	var exceeded *quota.ExceededError
	switch {
	case errors.As(err, &exceeded):
		return quotaFault(exceeded)
	case errors.As(err, &known):
		if known.cause != nil {
			log.WarnContext(ctx, "call failed", "reason", known.Name(), "error", known.cause)
		}
		return known.bounded()
	case errors.Is(err, context.DeadlineExceeded):
		return fault(tidingsv1.ErrorReason_ERROR_REASON_DEADLINE_EXCEEDED, "the deadline passed")
	case errors.Is(err, context.Canceled):
		return fault(tidingsv1.ErrorReason_ERROR_REASON_CANCELLED, "the call was cancelled")
	default:
		id := rand.Text()
		log.ErrorContext(ctx, "internal error", "error_id", id, "error", err)
		return fault(tidingsv1.ErrorReason_ERROR_REASON_INTERNAL, "internal error "+id, "error_id", id)
	}
}

// accessFault turns an error about the caller into one of the catalogue. nil: it isn't
// one. What was wrong with a credential is for the log.
func accessFault(err error) *Error {
	switch {
	case errors.Is(err, auth.ErrNoCredential):
		return fault(tidingsv1.ErrorReason_ERROR_REASON_UNAUTHENTICATED, "there is no credential: send one in the header Authorization, as Bearer and an API key or a token, or a client certificate")
	case errors.Is(err, auth.ErrExpired):
		return fault(tidingsv1.ErrorReason_ERROR_REASON_UNAUTHENTICATED, "the credential has expired")
	case errors.Is(err, auth.ErrInvalid):
		return fault(tidingsv1.ErrorReason_ERROR_REASON_UNAUTHENTICATED, "the credential isn't valid")
	case errors.Is(err, auth.ErrDenied):
		return fault(tidingsv1.ErrorReason_ERROR_REASON_PERMISSION_DENIED, err.Error())
	default:
		return nil
	}
}

// storageFault turns an error of the engine into one of the catalogue.
func storageFault(err error, topic string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, engine.ErrTopicNotFound):
		return topicNotFound(topic)
	case errors.Is(err, engine.ErrFull):
		e := fault(tidingsv1.ErrorReason_ERROR_REASON_STORAGE_FULL, "the storage is full")
		e.cause = err
		return e
	case errors.Is(err, engine.ErrUnavailable):
		e := fault(tidingsv1.ErrorReason_ERROR_REASON_STORAGE_UNAVAILABLE, "the storage didn't answer; send the request again")
		e.RetryDelay, e.cause = retryDelay, err
		return e
	case errors.Is(err, engine.ErrDamaged):
		return damaged(err, topic)
	case errors.Is(err, engine.ErrTooLarge):
		return fault(tidingsv1.ErrorReason_ERROR_REASON_REQUEST_TOO_LARGE, "the request is too large for one record")
	default:
		return err
	}
}

// damaged is the error for what is stored and can't be read.
func damaged(err error, topic string) *Error {
	e := fault(tidingsv1.ErrorReason_ERROR_REASON_STORAGE_DAMAGED, "what is stored is damaged: the server's log says more")
	if damage, ok := errors.AsType[*engine.DamageError](err); ok {
		e.Message = "what is stored is damaged: " + damage.Place
		e.Metadata = map[string]string{"place": damage.Place}
		if topic == "" {
			topic = damage.Topic
		}
		if topic != "" {
			e.Metadata["topic"] = topic
		}
	}
	e.cause = err
	return e
}

func topicNotFound(topic string) *Error {
	return fault(tidingsv1.ErrorReason_ERROR_REASON_TOPIC_NOT_FOUND,
		fmt.Sprintf("topic %q doesn't exist", topic), "topic", topic)
}

// subscriptionFault turns an error of the engine or the hub about a subscription
// into one of the catalogue.
func subscriptionFault(err error, s string) error {
	switch {
	case errors.Is(err, engine.ErrSubscriptionNotFound):
		return fault(tidingsv1.ErrorReason_ERROR_REASON_SUBSCRIPTION_NOT_FOUND,
			fmt.Sprintf("subscription %q doesn't exist", s), "subscription", s)
	case errors.Is(err, delivery.ErrUnavailable), errors.Is(err, delivery.ErrSession):
		e := fault(tidingsv1.ErrorReason_ERROR_REASON_SUBSCRIPTION_UNAVAILABLE,
			fmt.Sprintf("the server that delivers for subscription %q is gone or can't be reached; call again", s), "subscription", s)
		e.RetryDelay, e.cause = retryDelay, err
		return e
	default:
		return storageFault(err, "")
	}
}

func draining() *Error {
	e := fault(tidingsv1.ErrorReason_ERROR_REASON_SERVER_DRAINING, "the server is shutting down; call again")
	e.RetryDelay = retryDelay
	return e
}

func tooLarge(reason tidingsv1.ErrorReason, what string, size, limit int) *Error {
	return fault(reason, fmt.Sprintf("%s has %d bytes, at most %d are allowed", what, size, limit),
		"size", strconv.Itoa(size), "limit", strconv.Itoa(limit))
}

// EndedError is the error of a stream that can't go on, where the catalogue has
// a reason for it.
type EndedError struct{ Reason *Error }

func (e *EndedError) Error() string { return e.Reason.Error() }

// Unwrap returns the reason.
func (e *EndedError) Unwrap() error { return e.Reason }

// TooLarge is the error for a request message above the limit.
func TooLarge(size, limit int) *Error {
	return tooLarge(tidingsv1.ErrorReason_ERROR_REASON_REQUEST_TOO_LARGE, "the request", size, limit)
}

// filterFault turns an error of filter.Compile into one of the catalogue. field
// is the path of the filter in the request.
func filterFault(err error, field string) error {
	if unknown, ok := errors.AsType[*filter.UnknownTypeError](err); ok {
		return fieldFault(tidingsv1.ErrorReason_ERROR_REASON_EVENT_TYPE_UNKNOWN, field+"."+unknown.Field, unknown.Description, "type", unknown.Name)
	}
	invalid, ok := errors.AsType[*filter.Error](err)
	if !ok {
		return err
	}
	var metadata []string
	if invalid.Type != "" {
		metadata = []string{"type", invalid.Type}
	}
	return fieldFault(tidingsv1.ErrorReason_ERROR_REASON_FILTER_INVALID, strings.TrimSuffix(field+"."+invalid.Field, "."), invalid.Description, metadata...)
}
