package command

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	"example.com/tidings/client"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// Failure is what a server's error says, whether it ended a call or is part of
// a response.
type Failure struct {
	code       tidingsv1.StatusCode
	Reason     string // From the catalogue, without its prefix. Empty: none.
	message    string
	Violations []violation
	Metadata   map[string]string
	retryDelay time.Duration // 0: not said.
	local      bool          // The call didn't get an answer of the server.
}

// violation is a rule that a field broke.
type violation struct {
	Path  string // As the server sent it.
	field string // As it is shown.

	Description, Rule string
}

// NewFailure reads an error that ended a call.
func NewFailure(err *connect.Error) *Failure {
	f := newFailure(err)
	f.code, f.message, f.local = tidingsv1.StatusCode(err.Code()), err.Message(), !connect.IsWireError(err)
	if f.local && client.Retryable(err) {
		// A connection that breaks while it is written to counts as the caller's
		// doing in connect, which it isn't.
		f.code = tidingsv1.StatusCode_STATUS_CODE_UNAVAILABLE
	}
	for _, detail := range err.Details() {
		value, _ := detail.Value() // A detail that this version doesn't know adds nothing.
		if info, ok := value.(*errdetails.ErrorInfo); ok {
			f.Metadata = info.GetMetadata()
		}
	}
	return f
}

// NewRefusal reads an error that is part of a response.
func NewRefusal(err *tidingsv1.ErrorDetail) *Failure {
	f := newFailure(&client.RefusedError{Detail: err})
	f.code, f.message, f.Metadata = err.GetCode(), err.GetMessage(), err.GetMetadata()
	return f
}

// newFailure reads what the contract says of errors of both kinds.
func newFailure(err error) *Failure {
	f := &Failure{Reason: client.Reason(err), retryDelay: client.RetryDelay(err)}
	for _, v := range client.Violations(err) {
		f.Violations = append(f.Violations, violation{v.Field, v.Field, v.Description, v.Rule})
	}
	return f
}

// String shows everything the failure says, the code and the reason first.
func (f *Failure) String() string {
	var b strings.Builder
	b.WriteString(strings.TrimPrefix(f.code.String(), "STATUS_CODE_"))
	if f.Reason != "" && f.Reason != strings.TrimPrefix(f.code.String(), "STATUS_CODE_") {
		b.WriteString(" " + f.Reason)
	}
	if f.message != "" && !f.repeatsViolation() {
		b.WriteString(": " + Printable(f.message))
	}
	for _, v := range f.Violations {
		fmt.Fprintf(&b, "\n  %s: %s", Printable(v.field), Printable(v.Description))
		if v.Rule != "" {
			fmt.Fprintf(&b, " [%s]", v.Rule)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(f.Metadata)) {
		fmt.Fprintf(&b, "\n  %s: %s", key, Printable(f.Metadata[key]))
	}
	if f.retryDelay > 0 {
		fmt.Fprintf(&b, "\n  try again after %s", f.retryDelay)
	}
	if hint := f.hint(); hint != "" {
		b.WriteString("\n  " + hint)
	}
	return b.String()
}

// hint says what is probably wrong with --server where no server of the contract
// answers. What tells is the text of Go's libraries.
func (f *Failure) hint() string {
	says := func(text string) bool { return f.Reason == "" && strings.Contains(f.message, text) }
	switch {
	case says("415 Unsupported Media Type"):
		return "is that the port for gRPC? Then say grpc:// and not http:// in --server or " + ServerVariable + ", or name the HTTP port"
	case f.local && says("server gave HTTP response to HTTPS client"):
		return "there is no TLS: say http:// and not https://, or grpc:// and not grpcs://, in --server or " + ServerVariable
	case f.local && (says("http2: frame too large") || says("http2: client conn could not be established")):
		return "what answers there speaks no HTTP/2: is it a Tidings server, and not a proxy before one that doesn't pass HTTP/2 on?"
	case f.local && f.code == tidingsv1.StatusCode_STATUS_CODE_UNAVAILABLE:
		return "is the server running, and is it the one that --server or " + ServerVariable + " names?"
	default:
		return ""
	}
}

// repeatsViolation reports whether the message says no more than the only
// violation, before its path was moved.
func (f *Failure) repeatsViolation() bool {
	return len(f.Violations) == 1 && f.message == f.Violations[0].Path+": "+f.Violations[0].Description
}

// Describe shows an error to the user.
func Describe(err error) string {
	fromServer, ok := errors.AsType[*connect.Error](err)
	if !ok {
		return err.Error()
	}
	// What was wrapped around the server's error says which part of the
	// command it concerns.
	where, _, _ := strings.Cut(err.Error(), fromServer.Error())
	return where + NewFailure(fromServer).String()
}

// eventPath matches a path into the events of a request.
var eventPath = regexp.MustCompile(`^events\[(\d+)\]\.?`)

// eventOf splits a path such as `events[3].data.email` into the index of the
// event and the path from there. ok is false for a path to something else.
func eventOf(path string) (index int64, rest string, ok bool) {
	m := eventPath.FindStringSubmatch(path)
	if m == nil {
		return 0, path, false
	}
	if _, err := fmt.Sscan(m[1], &index); err != nil {
		return 0, path, false
	}
	return index, path[len(m[0]):], true
}

// AtLines replaces the indexes in paths by the lines that the events came from,
// which line gives for an index or 0 if there is no such event.
func (f *Failure) AtLines(line func(index int64) int64) *Failure {
	moved := *f
	moved.Violations = slices.Clone(f.Violations)
	for i, v := range moved.Violations {
		index, rest, ok := eventOf(v.Path)
		if !ok || line(index) == 0 {
			continue
		}
		if rest == "" {
			moved.Violations[i].field = fmt.Sprintf("line %d", line(index))
			continue
		}
		moved.Violations[i].field = fmt.Sprintf("line %d: %s", line(index), rest)
	}
	return &moved
}

// OfOneEvent drops the events' index from paths, where the line has been said.
func (f *Failure) OfOneEvent() *Failure {
	moved := *f
	moved.Violations = slices.Clone(f.Violations)
	for i, v := range moved.Violations {
		if _, rest, ok := eventOf(v.Path); ok && rest != "" {
			moved.Violations[i].field = rest
		}
	}
	return &moved
}
