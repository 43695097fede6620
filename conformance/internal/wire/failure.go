package wire

import (
	"context"
	"errors"
	"fmt"
	"io"

	"connectrpc.com/connect"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	// The details that errors have.
	_ "buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
)

// CallError is how a call failed.
type CallError struct {
	Code    codes.Code
	Message string
	Details []proto.Message
	// Undecoded are the details that couldn't be decoded, and why.
	Undecoded []error
}

func (f *CallError) Error() string {
	if info := f.Info(); info != nil {
		return fmt.Sprintf("%s %s: %s", f.Code, info.GetReason(), f.Message)
	}
	return fmt.Sprintf("%s, without a reason: %s", f.Code, f.Message)
}

// Info is the ErrorInfo among the details. Nil: there is none.
func (f *CallError) Info() *errdetails.ErrorInfo {
	for _, detail := range f.Details {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info
		}
	}
	return nil
}

// Unimplemented reports whether the server doesn't have the RPC at all.
func (f *CallError) Unimplemented() bool {
	return f.Info() == nil && (f.Code == codes.Unimplemented)
}

// Unreachable reports whether there was no server to answer.
func (f *CallError) Unreachable() bool { return f.Info() == nil && f.Code == codes.Unavailable }

// failure makes a CallError of an error of either library. The end of a stream,
// which connect-go wraps, is io.EOF.
func failure(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF):
		return io.EOF
	}
	if connectErr := new(connect.Error); errors.As(err, &connectErr) {
		f := &CallError{Code: codes.Code(connectErr.Code()), Message: connectErr.Message()}
		for _, detail := range connectErr.Details() {
			value, err := detail.Value()
			f.add(value, err)
		}
		return f
	}
	if s, ok := status.FromError(err); ok {
		f := &CallError{Code: s.Code(), Message: s.Message()}
		for _, detail := range s.Details() {
			value, _ := detail.(proto.Message)
			err, _ := detail.(error)
			f.add(value, err)
		}
		return f
	}
	if errors.Is(err, context.Canceled) {
		return &CallError{Code: codes.Canceled, Message: err.Error()}
	}
	return &CallError{Code: codes.Unknown, Message: err.Error()}
}

func (f *CallError) add(detail proto.Message, err error) {
	if err != nil {
		f.Undecoded = append(f.Undecoded, err)
		return
	}
	f.Details = append(f.Details, detail)
}
