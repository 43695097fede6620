package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	tidingsv1beta1 "example.com/tidings/gen/go/tidings/v1beta1"
)

// failure is what a server's error says, whether it ended a call or is part of
// a response.
type failure struct {
	code       tidingsv1.StatusCode
	reason     string // From the catalogue, without its prefix. Empty: none.
	message    string
	violations []violation
	metadata   map[string]string
	retryDelay time.Duration // 0: not said.
	local      bool          // The call didn't get an answer of the server.
}

// violation is a rule that a field broke.
type violation struct {
	path  string // As the server sent it.
	field string // As it is shown.

	description, rule string
}

// newFailure reads an error that ended a call.
func newFailure(err *connect.Error) *failure {
	f := &failure{
		code:    tidingsv1.StatusCode(err.Code()),
		message: err.Message(),
		local:   !connect.IsWireError(err),
	}
	if f.local && f.code == tidingsv1.StatusCode_STATUS_CODE_CANCELLED && !errors.Is(err, context.Canceled) {
		// A connection that breaks while it is written to counts as the caller's
		// doing in connect, which it isn't.
		f.code = tidingsv1.StatusCode_STATUS_CODE_UNAVAILABLE
	}
	for _, detail := range err.Details() {
		value, valueErr := detail.Value()
		if valueErr != nil {
			// A detail that this version doesn't know adds to the message and
			// doesn't replace it.
			continue
		}
		switch value := value.(type) {
		case *errdetails.ErrorInfo:
			f.reason, f.metadata = value.GetReason(), value.GetMetadata()
		case *errdetails.RetryInfo:
			f.retryDelay = value.GetRetryDelay().AsDuration()
		case *errdetails.BadRequest:
			for _, v := range value.GetFieldViolations() {
				f.violations = append(f.violations, violation{v.GetField(), v.GetField(), v.GetDescription(), v.GetReason()})
			}
		}
	}
	return f
}

// newRefusal reads an error that is part of a response.
func newRefusal(err *tidingsv1.ErrorDetail) *failure {
	f := &failure{
		code:       err.GetCode(),
		reason:     reasonName(err.GetReason()),
		message:    err.GetMessage(),
		metadata:   err.GetMetadata(),
		retryDelay: err.GetRetryDelay().AsDuration(),
	}
	for _, v := range err.GetFieldViolations() {
		f.violations = append(f.violations, violation{v.GetField(), v.GetField(), v.GetDescription(), v.GetRuleId()})
	}
	return f
}

const reasonPrefix = "ERROR_REASON_"

func reasonName(reason interface {
	protoreflect.Enum
	fmt.Stringer
},
) string {
	if reason.Number() == 0 {
		return ""
	}
	return strings.TrimPrefix(reason.String(), reasonPrefix)
}

// catalogues are the enumerations of reasons.
var catalogues = []protoreflect.EnumDescriptor{
	tidingsv1.ErrorReason(0).Descriptor(), tidingsv1beta1.ErrorReason(0).Descriptor(),
}

// retry returns what the catalogues say of the failure's reason.
func (f *failure) retry() tidingsv1.Retry {
	for _, catalogue := range catalogues {
		value := catalogue.Values().ByName(protoreflect.Name(reasonPrefix + f.reason))
		if value == nil {
			continue
		}
		options, _ := value.Options().(*descriptorpb.EnumValueOptions)
		said, _ := proto.GetExtension(options, tidingsv1.E_Error).(*tidingsv1.ErrorReasonOptions)
		return said.GetRetry()
	}
	return tidingsv1.Retry_RETRY_UNSPECIFIED
}

// String shows everything the failure says, the code and the reason first.
func (f *failure) String() string {
	var b strings.Builder
	b.WriteString(strings.TrimPrefix(f.code.String(), "STATUS_CODE_"))
	if f.reason != "" && f.reason != strings.TrimPrefix(f.code.String(), "STATUS_CODE_") {
		b.WriteString(" " + f.reason)
	}
	if f.message != "" && !f.repeatsViolation() {
		b.WriteString(": " + printable(f.message))
	}
	for _, v := range f.violations {
		fmt.Fprintf(&b, "\n  %s: %s", printable(v.field), printable(v.description))
		if v.rule != "" {
			fmt.Fprintf(&b, " [%s]", v.rule)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(f.metadata)) {
		fmt.Fprintf(&b, "\n  %s: %s", key, printable(f.metadata[key]))
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
func (f *failure) hint() string {
	says := func(text string) bool { return f.reason == "" && strings.Contains(f.message, text) }
	switch {
	case says("415 Unsupported Media Type"):
		return "is that the port for gRPC? Then say grpc:// and not http:// in --server or " + serverVariable + ", or name the HTTP port"
	case f.local && says("server gave HTTP response to HTTPS client"):
		return "there is no TLS: say http:// and not https://, or grpc:// and not grpcs://, in --server or " + serverVariable
	case f.local && (says("http2: frame too large") || says("http2: client conn could not be established")):
		return "what answers there speaks no HTTP/2: is it a Tidings server, and not a proxy before one that doesn't pass HTTP/2 on?"
	case f.local && f.code == tidingsv1.StatusCode_STATUS_CODE_UNAVAILABLE:
		return "is the server running, and is it the one that --server or " + serverVariable + " names?"
	default:
		return ""
	}
}

// repeatsViolation reports whether the message says no more than the only
// violation, before its path was moved.
func (f *failure) repeatsViolation() bool {
	return len(f.violations) == 1 && f.message == f.violations[0].path+": "+f.violations[0].description
}

// describe shows an error to the user.
func describe(err error) string {
	fromServer, ok := errors.AsType[*connect.Error](err)
	if !ok {
		return err.Error()
	}
	// What was wrapped around the server's error says which part of the
	// command it concerns.
	where, _, _ := strings.Cut(err.Error(), fromServer.Error())
	return where + newFailure(fromServer).String()
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

// atLines replaces the indexes in paths by the lines that the events came from,
// which line gives for an index or 0 if there is no such event.
func (f *failure) atLines(line func(index int64) int64) *failure {
	moved := *f
	moved.violations = slices.Clone(f.violations)
	for i, v := range moved.violations {
		index, rest, ok := eventOf(v.path)
		if !ok || line(index) == 0 {
			continue
		}
		if rest == "" {
			moved.violations[i].field = fmt.Sprintf("line %d", line(index))
			continue
		}
		moved.violations[i].field = fmt.Sprintf("line %d: %s", line(index), rest)
	}
	return &moved
}

// ofOneEvent drops the events' index from paths, where the line has been said.
func (f *failure) ofOneEvent() *failure {
	moved := *f
	moved.violations = slices.Clone(f.violations)
	for i, v := range moved.violations {
		if _, rest, ok := eventOf(v.path); ok && rest != "" {
			moved.violations[i].field = rest
		}
	}
	return &moved
}
