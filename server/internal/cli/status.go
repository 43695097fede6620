package cli

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
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

// errInterrupted ends a command that a signal ended.
var errInterrupted = statusError{StatusInterrupted, errors.New("interrupted")}

// usageError is about the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func (e usageError) ExitStatus() int { return StatusUsage }

func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// statusError is an error with an exit status of its own.
type statusError struct {
	status int
	error
}

func (e statusError) Unwrap() error { return e.error }

func (e statusError) ExitStatus() int { return e.status }

// exitStatus returns the status of a command that ended with err. An error of
// another package says its own with a method ExitStatus.
func exitStatus(err error) int {
	var own interface{ ExitStatus() int }
	if errors.As(err, &own) {
		return own.ExitStatus()
	}
	if fromServer, ok := errors.AsType[*connect.Error](err); ok {
		return newFailure(fromServer).status()
	}
	return StatusFailed
}

// status returns the exit status of a failure: whether the same request may
// succeed later decides between failed and refused. The catalogue of reasons
// says so; without a reason that is known here, the code has to.
func (f *failure) status() int {
	if f.code == tidingsv1.StatusCode_STATUS_CODE_NOT_FOUND {
		return StatusNotFound
	}
	switch f.retry() {
	case tidingsv1.Retry_RETRY_NEVER:
		return StatusRefused
	case tidingsv1.Retry_RETRY_BACKOFF:
		return StatusFailed
	default:
		return f.codeStatus()
	}
}

// codeStatus is the exit status that the code alone tells.
func (f *failure) codeStatus() int {
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

// isCancellation reports whether err says that the caller gave up.
func isCancellation(err error) bool {
	return errors.Is(err, context.Canceled) || connect.CodeOf(err) == connect.CodeCanceled
}
