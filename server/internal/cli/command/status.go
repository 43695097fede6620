package command

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/internal/catalogue"
)

// The exit statuses. The help of the root command tells users what they mean.
const (
	StatusOK          = 0
	StatusFailed      = 1
	StatusUsage       = 2
	StatusRefused     = 3
	StatusNotFound    = 4
	StatusInterrupted = 130
)

// ErrInterrupted ends a command that a signal ended.
var ErrInterrupted error = statusError{StatusInterrupted, errors.New("interrupted")}

// usageError is about the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func (e usageError) ExitStatus() int { return StatusUsage }

// AsUsage makes an error one about the command line.
func AsUsage(err error) error { return usageError{err} }

// Usagef returns an error about the command line.
func Usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// statusError is an error with an exit status of its own.
type statusError struct {
	status int
	error
}

func (e statusError) Unwrap() error { return e.error }

func (e statusError) ExitStatus() int { return e.status }

// WithStatus gives an error an exit status of its own.
func WithStatus(status int, err error) error { return statusError{status, err} }

// ExitStatus returns the status of a command that ended with err. An error of
// another package says its own with a method ExitStatus.
func ExitStatus(err error) int {
	var own interface{ ExitStatus() int }
	if errors.As(err, &own) {
		return own.ExitStatus()
	}
	if fromServer, ok := errors.AsType[*connect.Error](err); ok {
		return NewFailure(fromServer).Status()
	}
	return StatusFailed
}

// Status returns the exit status of a failure: whether the same request may
// succeed later decides between failed and refused. The catalogue of reasons
// says so; without a reason that is known here, the code has to.
func (f *Failure) Status() int {
	if f.code == tidingsv1.StatusCode_STATUS_CODE_NOT_FOUND {
		return StatusNotFound
	}
	switch catalogue.Retry(f.Reason) {
	case tidingsv1.Retry_RETRY_NEVER:
		return StatusRefused
	case tidingsv1.Retry_RETRY_BACKOFF:
		return StatusFailed
	default:
		return f.codeStatus()
	}
}

// codeStatus is the exit status that the code alone tells.
func (f *Failure) codeStatus() int {
	switch f.code {
	case tidingsv1.StatusCode_STATUS_CODE_INVALID_ARGUMENT,
		tidingsv1.StatusCode_STATUS_CODE_ALREADY_EXISTS,
		tidingsv1.StatusCode_STATUS_CODE_PERMISSION_DENIED,
		tidingsv1.StatusCode_STATUS_CODE_FAILED_PRECONDITION,
		tidingsv1.StatusCode_STATUS_CODE_ABORTED,
		tidingsv1.StatusCode_STATUS_CODE_OUT_OF_RANGE,
		tidingsv1.StatusCode_STATUS_CODE_UNIMPLEMENTED,
		tidingsv1.StatusCode_STATUS_CODE_UNAUTHENTICATED:
		return StatusRefused
	default:
		return StatusFailed
	}
}

// IsCancellation reports whether err says that the caller gave up.
func IsCancellation(err error) bool {
	return errors.Is(err, context.Canceled) || connect.CodeOf(err) == connect.CodeCanceled
}
