package publish

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/command"
	"example.com/tidings/server/internal/eventjson"
)

// parseEvent reads an event from a line of JSON. What is wrong with the line is
// the refusal, with the reasons and paths with which a server refuses an event;
// err means that its types couldn't be fetched.
func parseEvent(ctx context.Context, types *command.PayloadTypes, text []byte) (event *tidingsv1.Event, refusal *tidingsv1.ErrorDetail, err error) {
	event = new(tidingsv1.Event)
	failed, parseErr := command.FromJSON(ctx, types, text, event)
	switch {
	case parseErr == nil:
		return event, nil, nil
	case failed == nil:
		refusal = malformed(parseErr)
	case failed.Unknown:
		refusal = unknownType(parseErr, failed)
	default:
		err = failed
	}
	return nil, refusal, err
}

// unknownType says where a line names a type that the server refuses to show.
func unknownType(parseErr error, failed *command.TypeError) *tidingsv1.ErrorDetail {
	message := failed.Error()
	if fromServer, ok := errors.AsType[*connect.Error](failed); ok {
		message = fromServer.Message()
	}
	refusal := &tidingsv1.ErrorDetail{
		Reason:   tidingsv1.ErrorReason_ERROR_REASON_EVENT_TYPE_UNKNOWN,
		Code:     tidingsv1.StatusCode_STATUS_CODE_INVALID_ARGUMENT,
		Message:  message,
		Metadata: map[string]string{"type": failed.Name},
	}
	if wrong, ok := errors.AsType[*eventjson.Error](parseErr); ok && wrong.Path != "" {
		refusal.Message = wrong.Path + ": " + message
		refusal.FieldViolations = []*tidingsv1.FieldViolation{{Field: wrong.Path, Description: message}}
	}
	return refusal
}

// malformed says what is wrong with a line.
func malformed(err error) *tidingsv1.ErrorDetail {
	refusal := &tidingsv1.ErrorDetail{
		Reason:  tidingsv1.ErrorReason_ERROR_REASON_REQUEST_MALFORMED,
		Code:    tidingsv1.StatusCode_STATUS_CODE_INVALID_ARGUMENT,
		Message: err.Error(),
	}
	wrong, ok := errors.AsType[*eventjson.Error](err)
	if !ok || wrong.Line == 0 && wrong.Path == "" {
		return refusal
	}
	if wrong.Line > 0 {
		refusal.Message = fmt.Sprintf("column %d", wrong.Column)
	}
	if wrong.Path == "" {
		refusal.Message += ": " + wrong.Text
	} else {
		refusal.FieldViolations = []*tidingsv1.FieldViolation{{Field: wrong.Path, Description: wrong.Text}}
	}
	return refusal
}
