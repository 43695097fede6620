package client

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/internal/catalogue"
)

// domain is that of the catalogue in google.rpc.ErrorInfo.
const domain = "tidings"

// RefusedError says why an event or a batch was refused inside a response, where the
// call went on.
type RefusedError struct {
	Detail *tidingsv1.ErrorDetail
}

// Error gives the reason and the message.
func (e *RefusedError) Error() string {
	return strings.TrimPrefix(e.Detail.GetReason().String(), catalogue.Prefix) + ": " + e.Detail.GetMessage()
}

// Violation is a field that broke a rule.
type Violation struct {
	// Field is the path from the request, such as events[0].data.email.
	Field string
	// Description says what the field must be.
	Description string
	// Rule is the id of the rule, such as string.email. Empty: not said.
	Rule string
}

// Reason returns the reason of an error by the catalogue tidings.v1.ErrorReason, or
// that of v1beta1, such as "EVENT_INVALID". Empty: the error doesn't come from a
// server of the contract.
func Reason(err error) string { return read(err).reason }

// Retryable reports whether what failed may be done again as it is, after a while:
// what the catalogue says of the reason or, where a connection failed before a server
// answered, whether that can pass. See [RetryDelay].
func Retryable(err error) bool {
	f := read(err)
	if retry := catalogue.Retry(f.reason); retry != tidingsv1.Retry_RETRY_UNSPECIFIED {
		return retry == tidingsv1.Retry_RETRY_BACKOFF
	}
	return f.code == codes.Unavailable
}

// RetryDelay returns how long the server asks to wait before doing again what failed.
// 0: it doesn't say.
func RetryDelay(err error) time.Duration { return read(err).delay }

// Violations returns the fields that broke a rule.
func Violations(err error) []Violation { return read(err).violations }

// failure is what an error says.
type failure struct {
	code       codes.Code
	reason     string
	violations []Violation
	delay      time.Duration
}

// read returns what an error says, whichever library made it.
func read(err error) failure {
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		return readDetail(refused.Detail)
	}
	if failed, ok := errors.AsType[*connect.Error](err); ok {
		f := failure{code: codes.Code(failed.Code())}
		if !connect.IsWireError(failed) && brokeConnect(failed) {
			f.code = codes.Unavailable
		}
		for _, detail := range failed.Details() {
			// A detail that this version doesn't know adds nothing.
			if value, err := detail.Value(); err == nil {
				f.add(value)
			}
		}
		return f
	}
	if failed, ok := status.FromError(err); ok && err != nil {
		f := failure{code: failed.Code()}
		if f.code == codes.Internal && hasPrefix(failed.Message(), brokenGRPC) {
			f.code = codes.Unavailable
		}
		for _, detail := range failed.Details() {
			if value, ok := detail.(proto.Message); ok {
				f.add(value)
			}
		}
		return f
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return failure{code: codes.Unavailable}
	}
	return failure{code: codes.Unknown}
}

// brokenConnect and brokenGRPC begin the texts of the errors that the libraries make of
// a connection or a stream that broke, under codes that say something else.
var (
	brokenConnect = []string{
		"protocol error: incomplete envelope: ", "protocol error: promised ", "read enveloped message: ",
		"read message: ", "write envelope: ", "write message: ", "stream error: ",
	}
	brokenGRPC = []string{
		"stream terminated by RST_STREAM", "unexpected EOF", "server closed the stream without sending trailers",
	}
)

// brokeConnect reports whether an error that connect-go made itself says that the
// connection broke. Where that happens while it is written to, connect-go takes it for
// the caller's doing.
func brokeConnect(err *connect.Error) bool {
	switch err.Code() {
	case connect.CodeCanceled:
		return !errors.Is(err, context.Canceled)
	case connect.CodeInternal, connect.CodeUnknown:
		return errors.Is(err, io.ErrUnexpectedEOF) || hasPrefix(err.Message(), brokenConnect)
	default:
		return false
	}
}

func hasPrefix(text string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(text, prefix) })
}

func (f *failure) add(detail proto.Message) {
	switch detail := detail.(type) {
	case *errdetails.ErrorInfo:
		if detail.GetDomain() == domain {
			f.reason = detail.GetReason()
		}
	case *errdetails.RetryInfo:
		f.delay = detail.GetRetryDelay().AsDuration()
	case *errdetails.BadRequest:
		for _, v := range detail.GetFieldViolations() {
			f.violations = append(f.violations, Violation{v.GetField(), v.GetDescription(), v.GetReason()})
		}
	}
}

func readDetail(detail *tidingsv1.ErrorDetail) failure {
	f := failure{code: codes.Code(detail.GetCode()), delay: detail.GetRetryDelay().AsDuration()}
	if detail.GetReason() != tidingsv1.ErrorReason_ERROR_REASON_UNSPECIFIED {
		f.reason = strings.TrimPrefix(detail.GetReason().String(), catalogue.Prefix)
	}
	for _, v := range detail.GetFieldViolations() {
		f.violations = append(f.violations, Violation{v.GetField(), v.GetDescription(), v.GetRuleId()})
	}
	return f
}
