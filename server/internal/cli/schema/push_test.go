package schema

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	tidingsv1beta1 "example.com/tidings/gen/go/tidings/v1beta1"
	"example.com/tidings/gen/go/tidings/v1beta1/tidingsv1beta1connect"
	"example.com/tidings/server/internal/cli/clitest"
	"example.com/tidings/server/internal/cli/command"
)

var commands = []command.Constructor{Command}

// fakeRegistry notes the last request to register and answers with err or
// outcome.
type fakeRegistry struct {
	tidingsv1beta1connect.UnimplementedSchemaServiceHandler
	request *tidingsv1beta1.RegisterSchemaRequest
	err     error
	outcome tidingsv1beta1.Outcome
}

func (f *fakeRegistry) RegisterSchema(_ context.Context, request *tidingsv1beta1.RegisterSchemaRequest) (*tidingsv1beta1.RegisterSchemaResponse, error) {
	f.request = request
	return &tidingsv1beta1.RegisterSchemaResponse{Revision: "00112233445566aa", Outcome: f.outcome}, f.err
}

// imageFile writes an image with one message and a comment of some bytes.
func imageFile(t *testing.T, comment int) string {
	t.Helper()
	file := parseFile(t, `name: "things/a.proto" package: "things.v1" syntax: "proto3" message_type { name: "Noted" }`)
	file.SourceCodeInfo = &descriptorpb.SourceCodeInfo{Location: []*descriptorpb.SourceCodeInfo_Location{{
		Path: []int32{4, 0}, Span: []int32{1, 0, 1}, LeadingComments: new(strings.Repeat("x", comment)),
	}}}
	path := filepath.Join(t.TempDir(), "image.binpb")
	if err := os.WriteFile(path, encodeFiles(t, file), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPush(t *testing.T) {
	registry := &fakeRegistry{outcome: tidingsv1beta1.Outcome_OUTCOME_CREATED}
	server, image := &clitest.Server{Registry: registry}, imageFile(t, 1)
	for _, test := range []struct {
		outcome tidingsv1beta1.Outcome
		flags   []string
		want    string
	}{
		{tidingsv1beta1.Outcome_OUTCOME_CREATED, nil, "registered: revision 00112233445566aa\n"},
		{tidingsv1beta1.Outcome_OUTCOME_UNCHANGED, nil, "unchanged: revision 00112233445566aa\n"},
		{tidingsv1beta1.Outcome_OUTCOME_CREATED, []string{"--validate-only"}, "would be registered: revision 00112233445566aa\n"},
		{tidingsv1beta1.Outcome_OUTCOME_CREATED, []string{"-o", "json"}, `{"revision":"00112233445566aa","outcome":"OUTCOME_CREATED"}` + "\n"},
	} {
		registry.outcome = test.outcome
		args := append([]string{"schema", "push", image, "--expected-revision", "0123456789abcdef"}, test.flags...)
		status, stdout, stderr := server.Run(t, commands, "", args...)
		if status != command.StatusOK || stdout != test.want || stderr != "" {
			t.Errorf("%q: status %d, %q, %q", args, status, stdout, stderr)
		}
		if registry.request.GetExpectedRevision() != "0123456789abcdef" || registry.request.GetValidateOnly() != (len(test.flags) == 1) {
			t.Errorf("%q: asked %v", args, registry.request)
		}
		set := new(descriptorpb.FileDescriptorSet)
		if err := proto.Unmarshal(registry.request.GetImage(), set); err != nil || set.GetFile()[0].GetName() != "things/a.proto" {
			t.Errorf("%q: the image is %v, %v", args, set, err)
		}
	}
}

// TestPushRefused: every violation of the error is a line, with its place.
func TestPushRefused(t *testing.T) {
	bad := new(errdetails.BadRequest)
	for i := range 100 {
		bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{
			Field: fmt.Sprintf("things/a.proto:%d", i+1), Description: "it changed (really) (against revision 00112233445566aa)", Reason: "FIELD_SAME_NAME",
		})
	}
	bad.FieldViolations[98] = &errdetails.BadRequest_FieldViolation{Field: "schemas", Description: "it has gone", Reason: "PACKAGE_NO_DELETE"}
	bad.FieldViolations[99] = &errdetails.BadRequest_FieldViolation{Field: "things/a.proto", Description: "it \x1b[31m changed"}
	refusal := connect.NewError(connect.CodeFailedPrecondition, errors.New("incompatible"))
	for _, message := range []proto.Message{
		&errdetails.ErrorInfo{Reason: "SCHEMA_INCOMPATIBLE", Domain: "tidings", Metadata: map[string]string{"violations": "117"}}, bad,
	} {
		detail, err := connect.NewErrorDetail(message)
		if err != nil {
			t.Fatal(err)
		}
		refusal.AddDetail(detail)
	}
	server := &clitest.Server{Registry: &fakeRegistry{err: refusal}}
	status, stdout, stderr := server.Run(t, commands, "", "schema", "push", imageFile(t, 1))
	if status != command.StatusRefused || stdout != "" {
		t.Errorf("status %d, %q", status, stdout)
	}
	lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
	if len(lines) != 101 {
		t.Fatalf("%d lines:\n%s", len(lines), stderr)
	}
	for i, want := range map[int]string{
		0:   "things/a.proto:1: it changed (really) (FIELD_SAME_NAME, against revision 00112233445566aa)",
		97:  "things/a.proto:98: it changed (really) (FIELD_SAME_NAME, against revision 00112233445566aa)",
		98:  "it has gone (PACKAGE_NO_DELETE)",
		99:  "things/a.proto: it \\u001b[31m changed",
		100: "tidings: SCHEMA_INCOMPATIBLE: nothing is registered; incompatible changes: 117 (`tidings schema check` lists more of them)",
	} {
		if lines[i] != want {
			t.Errorf("line %d is %q, want %q", i, lines[i], want)
		}
	}
}

// TestPushTooLarge: the image isn't sent, and the error says both sizes.
func TestPushTooLarge(t *testing.T) {
	const limit = 1 << 20 // Of the fake.
	registry := new(fakeRegistry)
	server := &clitest.Server{Registry: registry}
	for _, verb := range []string{"push", "check"} {
		status, _, stderr := server.Run(t, commands, "", "schema", verb, imageFile(t, limit))
		if status != command.StatusRefused || registry.request != nil {
			t.Errorf("%s: status %d, sent %d bytes", verb, status, len(registry.request.GetImage()))
		}
		var size, most int
		if _, err := fmt.Sscanf(stderr, "tidings: the request with the image has %d bytes, and the server takes requests of at most %d:", &size, &most); err != nil || size <= limit || size > limit+200 || most != limit {
			t.Errorf("%s: %v: %s", verb, err, stderr)
		}
	}
}

// TestPushElsewhere: other errors are shown as those of other commands.
func TestPushElsewhere(t *testing.T) {
	image := imageFile(t, 1)
	status, _, stderr := (&clitest.Server{}).Run(t, commands, "", "schema", "push", image)
	if status != command.StatusRefused || !strings.HasPrefix(stderr, "tidings: UNIMPLEMENTED") {
		t.Errorf("an older server: status %d, %s", status, stderr)
	}
	status, _, stderr = (&clitest.Server{Registry: &fakeRegistry{err: clitest.Unavailable(t)}}).Run(t, commands, "", "schema", "push", image)
	if status != command.StatusFailed || !strings.Contains(stderr, "SERVER_DRAINING: the server is shutting down") {
		t.Errorf("a server that drains: status %d, %s", status, stderr)
	}
}
