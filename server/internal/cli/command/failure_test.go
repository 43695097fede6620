package command

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	tidingsv1beta1 "example.com/tidings/gen/go/tidings/v1beta1"
)

// serverError makes an error as it arrives from a server.
func serverError(t *testing.T, code connect.Code, message string, details ...proto.Message) *connect.Error {
	t.Helper()
	err := connect.NewWireError(code, errors.New(message))
	for _, message := range details {
		detail, detailErr := connect.NewErrorDetail(message)
		if detailErr != nil {
			t.Fatal(detailErr)
		}
		err.AddDetail(detail)
	}
	return err
}

func TestDescribe(t *testing.T) {
	info := func(reason string, metadata map[string]string) *errdetails.ErrorInfo {
		return &errdetails.ErrorInfo{Reason: reason, Domain: "tidings", Metadata: metadata}
	}
	for name, test := range map[string]struct {
		err    error
		want   string
		status int
	}{
		"not a server's": {errors.New("no such file"), "no such file", StatusFailed},
		"metadata, sorted, and delay": {
			serverError(t, connect.CodeUnavailable, "busy", info("STORAGE_UNAVAILABLE", map[string]string{"b": "2", "a": "1"}), &errdetails.RetryInfo{RetryDelay: durationpb.New(2 * time.Second)}),
			"UNAVAILABLE STORAGE_UNAVAILABLE: busy\n  a: 1\n  b: 2\n  try again after 2s", StatusFailed,
		},
		"violations": {
			serverError(t, connect.CodeInvalidArgument, "two fields are wrong", info("EVENT_INVALID", nil), &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
				{Field: "events[0].id", Description: "must be set", Reason: "string.min_len"},
				{Field: "topic", Description: "is odd"},
			}}),
			"INVALID_ARGUMENT EVENT_INVALID: two fields are wrong\n  events[0].id: must be set [string.min_len]\n  topic: is odd", StatusRefused,
		},
		"message that repeats its violation": {
			serverError(t, connect.CodeInvalidArgument, "topic: is odd", info("REQUEST_INVALID", nil), &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
				{Field: "topic", Description: "is odd"},
			}}),
			"INVALID_ARGUMENT REQUEST_INVALID\n  topic: is odd", StatusRefused,
		},
		"reason that repeats the code": {
			serverError(t, connect.CodeInternal, "see the log", info("INTERNAL", map[string]string{"error_id": "x"})),
			"INTERNAL: see the log\n  error_id: x", StatusFailed,
		},
		"wrapped": {
			fmt.Errorf("line 3: %w", serverError(t, connect.CodeNotFound, "gone", info("TOPIC_NOT_FOUND", nil))),
			"line 3: NOT_FOUND TOPIC_NOT_FOUND: gone", StatusNotFound,
		},
		"no reason, or one of a later version": {
			serverError(t, connect.CodeFailedPrecondition, "no", info("MOON_IS_FULL", nil)),
			"FAILED_PRECONDITION MOON_IS_FULL: no", StatusRefused,
		},
		"lost connection": {
			connect.NewError(connect.CodeCanceled, errors.New("connection reset")),
			"UNAVAILABLE: connection reset\n  is the server running, and is it the one that --server or TIDINGS_SERVER names?", StatusFailed,
		},
		"control characters": {
			serverError(t, connect.CodeUnknown, "a\x1b[31mb"), `UNKNOWN: a\u001b[31mb`, StatusFailed,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Describe(test.err); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if got := ExitStatus(test.err); got != test.status {
				t.Errorf("status %d, want %d", got, test.status)
			}
		})
	}
}

// The catalogues decide the exit status of every reason in them.
func TestStatusOfEveryReason(t *testing.T) {
	seen := 0
	for _, catalogue := range []protoreflect.EnumDescriptor{tidingsv1.ErrorReason(0).Descriptor(), tidingsv1beta1.ErrorReason(0).Descriptor()} {
		for i := range catalogue.Values().Len() {
			value := catalogue.Values().Get(i)
			if value.Number() == 0 {
				continue
			}
			seen++
			options, _ := proto.GetExtension(value.Options(), tidingsv1.E_Error).(*tidingsv1.ErrorReasonOptions)
			want := StatusFailed
			switch {
			case options.GetCode() == tidingsv1.StatusCode_STATUS_CODE_NOT_FOUND:
				want = StatusNotFound
			case options.GetRetry() == tidingsv1.Retry_RETRY_NEVER:
				want = StatusRefused
			}
			info := &errdetails.ErrorInfo{Reason: strings.TrimPrefix(string(value.Name()), "ERROR_REASON_"), Domain: "tidings"}
			if got := ExitStatus(serverError(t, connect.Code(options.GetCode()), "no", info)); got != want {
				t.Errorf("%s: status %d, want %d", value.FullName(), got, want)
			}
		}
	}
	if seen < 46 {
		t.Errorf("only %d reasons", seen)
	}
}

func TestPathsAtLines(t *testing.T) {
	f := NewRefusal(&tidingsv1.ErrorDetail{FieldViolations: []*tidingsv1.FieldViolation{
		{Field: "events[1].data.email"}, {Field: "events[0]"}, {Field: "events[9].id"}, {Field: "topic"}, {Field: "events[99999999999999999999].id"},
	}})
	line := func(index int64) int64 { return map[int64]int64{0: 4, 1: 7}[index] }
	var got []string
	for _, v := range f.AtLines(line).Violations {
		got = append(got, v.field)
	}
	if want := "[line 7: data.email line 4 events[9].id topic events[99999999999999999999].id]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
	got = nil
	for _, v := range f.OfOneEvent().Violations {
		got = append(got, v.field)
	}
	if want := "[data.email events[0] id topic events[99999999999999999999].id]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}
