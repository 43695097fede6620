package client

import (
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/durationpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

const (
	// maxNackDelay is the longest delay of a nack.
	maxNackDelay = 24 * time.Hour
	// maxReason is how much of an error's text is sent, in bytes. The server keeps
	// 1,024 characters.
	maxReason = 1024 * utf8.UTFMax
)

// nackError is an error that says how its event is settled.
type nackError struct {
	kind  tidingsv1.NackKind
	delay *durationpb.Duration // nil: what the retry policy says.
	err   error
}

func (e *nackError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *nackError) Unwrap() error { return e.err }

// RetryAfter returns an error with which a handler has its event delivered again after
// a delay, at most a day, instead of what the retry policy says. The attempt counts.
func RetryAfter(delay time.Duration, err error) error {
	return &nackError{tidingsv1.NackKind_NACK_KIND_RETRY, nackDelay(delay), err}
}

// DeadLetter returns an error with which a handler makes its event a dead letter: no
// attempt can succeed.
func DeadLetter(err error) error {
	return &nackError{kind: tidingsv1.NackKind_NACK_KIND_DEAD_LETTER, err: err}
}

// Drop returns an error with which a handler ends the delivery of an event that isn't
// wanted.
func Drop(err error) error {
	return &nackError{kind: tidingsv1.NackKind_NACK_KIND_DROP, err: err}
}

// Release returns an error with which a handler gives its event back after a delay, at
// most a day. It wasn't tried: the attempt doesn't count. That is for what has nothing
// to do with the event, such as a database that is down.
func Release(delay time.Duration, err error) error {
	return &nackError{tidingsv1.NackKind_NACK_KIND_RELEASE, nackDelay(delay), err}
}

func nackDelay(delay time.Duration) *durationpb.Duration {
	return durationpb.New(min(max(delay, 0), maxNackDelay))
}

// NackKind returns what becomes of an event whose handler returned err: for tests of
// handlers, and for what wraps them. Of nil it is NACK_KIND_UNSPECIFIED.
func NackKind(err error) tidingsv1.NackKind { return settlementOf(err).GetNack().GetKind() }

// acknowledged is shared by all settlements with which events are acknowledged.
var acknowledged = &tidingsv1.Settlement_Ack{Ack: &tidingsv1.Ack{}}

// settlementOf returns the settlement that a handler's error stands for, without the
// token.
func settlementOf(err error) *tidingsv1.Settlement {
	if err == nil {
		return &tidingsv1.Settlement{Action: acknowledged}
	}
	nack := &tidingsv1.Nack{Kind: tidingsv1.NackKind_NACK_KIND_RETRY, Reason: reasonOf(err)}
	if said, ok := errors.AsType[*nackError](err); ok {
		nack.Kind, nack.Delay = said.kind, said.delay
	}
	return &tidingsv1.Settlement{Action: &tidingsv1.Settlement_Nack{Nack: nack}}
}

// released is the settlement of an event that wasn't begun.
func released() *tidingsv1.Settlement {
	return &tidingsv1.Settlement{Action: &tidingsv1.Settlement_Nack{Nack: &tidingsv1.Nack{Kind: tidingsv1.NackKind_NACK_KIND_RELEASE}}}
}

// reasonOf returns the text of an error as the reason of a nack.
func reasonOf(err error) string {
	text := err.Error()
	if len(text) > maxReason {
		end := maxReason
		for end > maxReason-utf8.UTFMax && !utf8.RuneStart(text[end]) {
			end--
		}
		text = text[:end]
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}
