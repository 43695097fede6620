package rpc_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// refusal is what a client learns from an error, whatever the transport.
type refusal struct {
	Code   codes.Code
	Reason string
	// Metadata is that of ErrorInfo. In what is wanted, the value anything
	// stands for every one but the empty.
	Metadata map[string]string
	// Fields are the paths of BadRequest, in their order.
	Fields []string
}

const anything = "*"

// because makes a refusal from pairs of metadata keys and values.
func because(code codes.Code, reason string, metadata ...string) refusal {
	r := refusal{Code: code, Reason: reason}
	for pair := range slices.Chunk(metadata, 2) {
		if r.Metadata == nil {
			r.Metadata = make(map[string]string)
		}
		r.Metadata[pair[0]] = pair[1]
	}
	return r
}

// at returns the refusal with the paths of fields.
func (r refusal) at(fields ...string) refusal {
	r.Fields = fields
	return r
}

// and returns the refusal with one more pair of metadata.
func (r refusal) and(key, value string) refusal {
	r.Metadata = maps.Clone(r.Metadata)
	if r.Metadata == nil {
		r.Metadata = make(map[string]string)
	}
	r.Metadata[key] = value
	return r
}

// wantRefusal fails the test unless an error is the refusal that is wanted.
func wantRefusal(t *testing.T, err error, want refusal) {
	t.Helper()
	if err == nil {
		t.Fatalf("accepted; want %v", want)
	}
	got, message := refusalOf(t, err)
	compareRefusals(t, got, want, message)
}

// wantError is wantRefusal for an error inside a response.
func wantError(t *testing.T, e *tidingsv1.ErrorDetail, want refusal) {
	t.Helper()
	if e == nil {
		t.Fatalf("accepted; want %v", want)
	}
	got := refusal{
		Code:     codes.Code(e.GetCode()),
		Reason:   strings.TrimPrefix(e.GetReason().String(), "ERROR_REASON_"),
		Metadata: e.GetMetadata(),
	}
	for _, violation := range e.GetFieldViolations() {
		got.Fields = append(got.Fields, violation.GetField())
	}
	compareRefusals(t, got, want, e.GetMessage())
}

func compareRefusals(t *testing.T, got, want refusal, message string) {
	t.Helper()
	if len(got.Metadata) == 0 {
		got.Metadata = nil
	}
	got.Metadata = maps.Clone(got.Metadata)
	for key, value := range want.Metadata {
		if value == anything && got.Metadata[key] != "" {
			got.Metadata[key] = anything
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("refused otherwise than wanted, with %q (-want +got):\n%s", message, diff)
	}
	if message == "" {
		t.Fatal("the error says nothing to people")
	}
}

// refusalOf reads an error of grpc-go or connect-go.
func refusalOf(t *testing.T, err error) (r refusal, message string) {
	t.Helper()
	code, details, message := partsOf(t, err)
	got := refusal{Code: code}
	for _, detail := range details {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			if detail.GetDomain() != "tidings" {
				t.Errorf("the domain is %q", detail.GetDomain())
			}
			if got.Reason != "" {
				t.Error("there are two ErrorInfo")
			}
			got.Reason, got.Metadata = detail.GetReason(), detail.GetMetadata()
		case *errdetails.BadRequest:
			for _, violation := range detail.GetFieldViolations() {
				got.Fields = append(got.Fields, violation.GetField())
			}
		}
	}
	return got, message
}

// partsOf returns the parts of an error of grpc-go or connect-go.
func partsOf(t *testing.T, err error) (code codes.Code, details []any, message string) {
	t.Helper()
	var failure *connect.Error
	if !errors.As(err, &failure) {
		s, ok := status.FromError(err)
		if !ok {
			t.Fatalf("not an error of a transport: %v", err)
		}
		return s.Code(), s.Details(), s.Message()
	}
	for _, detail := range failure.Details() {
		value, err := detail.Value()
		if err != nil {
			t.Fatalf("a detail of the error can't be read: %v", err)
		}
		details = append(details, value)
	}
	return codes.Code(failure.Code()), details, failure.Message()
}

// metadataOf returns the metadata of the ErrorInfo among details.
func metadataOf(t *testing.T, details []any) map[string]string {
	t.Helper()
	for _, detail := range details {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetMetadata()
		}
	}
	t.Fatal("there is no ErrorInfo")
	return nil
}
