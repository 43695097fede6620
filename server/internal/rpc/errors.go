package rpc

import (
	"context"
	"errors"
	"io"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/tidings/server/internal/service"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

const errorDomain = "tidings"

// details are what an error carries beside its code and message.
func details(e *service.Error) []proto.Message {
	list := []proto.Message{&errdetails.ErrorInfo{Reason: e.Name(), Domain: errorDomain, Metadata: e.Metadata}}
	if len(e.Fields) > 0 {
		bad := new(errdetails.BadRequest)
		for _, field := range e.Fields {
			bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{
				Field:       field.GetField(),
				Description: field.GetDescription(),
				Reason:      field.GetRuleId(),
			})
		}
		list = append(list, bad)
	}
	if e.Violations != nil {
		list = append(list, e.Violations)
	}
	if subject := exhausted(e); subject != "" {
		list = append(list, &errdetails.QuotaFailure{Violations: []*errdetails.QuotaFailure_Violation{
			{Subject: subject, Description: e.Message},
		}})
	}
	if e.RetryDelay > 0 {
		list = append(list, &errdetails.RetryInfo{RetryDelay: durationpb.New(e.RetryDelay)})
	}
	return list
}

// exhausted is what an error says to be used up. Empty: nothing.
func exhausted(e *service.Error) string {
	switch e.Reason {
	case tidingsv1.ErrorReason_ERROR_REASON_STORAGE_FULL:
		return "storage"
	case tidingsv1.ErrorReason_ERROR_REASON_QUOTA_EXCEEDED:
		return e.Metadata["quota"]
	default:
		return ""
	}
}

// receiveFault turns an error that a transport made while receiving into one of
// the catalogue or a context's, so that neither what the client sent nor its
// leaving is taken for a fault of the server.
func receiveFault(err error) error {
	if err == nil || errors.Is(err, io.EOF) || isKnown(err) {
		return err
	}
	switch code, text := codeOf(err); code {
	case codes.DeadlineExceeded:
		return context.DeadlineExceeded
	case codes.ResourceExhausted:
		return &service.EndedError{Reason: &service.Error{Reason: tidingsv1.ErrorReason_ERROR_REASON_REQUEST_TOO_LARGE, Message: text}}
	case codes.InvalidArgument, codes.Unimplemented, codes.Internal:
		return &service.EndedError{Reason: service.Malformed("", text)}
	default: // The connection is gone, one way or another.
		return context.Canceled
	}
}

// sendFault is receiveFault for sending, where only encoding is up to the server.
func sendFault(err error) error {
	if err == nil || errors.Is(err, io.EOF) || isKnown(err) {
		return err
	}
	switch code, _ := codeOf(err); code {
	case codes.DeadlineExceeded:
		return context.DeadlineExceeded
	case codes.Internal:
		return err
	default:
		return context.Canceled
	}
}

func isKnown(err error) bool {
	_, ok := errors.AsType[*service.Error](err)
	return ok
}

// codeOf returns the code of an error of a transport, and its text.
func codeOf(err error) (code codes.Code, text string) {
	if s, ok := status.FromError(err); ok {
		return s.Code(), s.Message()
	}
	if e, ok := errors.AsType[*connect.Error](err); ok {
		return codes.Code(e.Code()), e.Message()
	}
	return codes.Unknown, err.Error()
}

// grpcError is the error as grpc-go has it.
func grpcError(e *service.Error) error {
	s := status.New(codes.Code(e.Options().GetCode()), e.Message)
	var adapted []protoadapt.MessageV1
	for _, detail := range details(e) {
		adapted = append(adapted, protoadapt.MessageV1Of(detail))
	}
	if detailed, err := s.WithDetails(adapted...); err == nil {
		s = detailed
	}
	return s.Err()
}

// connectError is the error as connect-go has it.
func connectError(e *service.Error) error {
	result := connect.NewError(connect.Code(e.Options().GetCode()), errors.New(e.Message))
	for _, message := range details(e) {
		if detail, err := connect.NewErrorDetail(message); err == nil {
			result.AddDetail(detail)
		}
	}
	return result
}
