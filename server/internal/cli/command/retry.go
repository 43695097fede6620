package command

import (
	"errors"
	"time"

	"connectrpc.com/connect"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// DrainTimeout is how long an interrupted command waits for the answers to
// what it has sent.
const DrainTimeout = 5 * time.Second

// The waits before reconnecting: each twice the one before, up to the last.
const (
	FirstReconnect = 250 * time.Millisecond
	LastReconnect  = 10 * time.Second
)

// MayPass reports whether a call that ended with err may succeed later.
func MayPass(err error) bool {
	fromServer, ok := errors.AsType[*connect.Error](err)
	if !ok {
		return false
	}
	f := NewFailure(fromServer)
	return f.local || f.retry() == tidingsv1.Retry_RETRY_BACKOFF || f.code == tidingsv1.StatusCode_STATUS_CODE_UNAVAILABLE
}
