// Package openapitest compares docs/openapi.yaml with what OpenAPI says, and with
// what the server does.
package openapitest

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"

	"example.com/tidings/tools/internal/workspace"
)

func checkout(t *testing.T) string {
	t.Helper()
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func TestDocumentIsOpenAPI(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(checkout(t), "docs", "openapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		old, new string
		valid    bool
	}{
		"as it is":               {"openapi: 3.1.1", "openapi: 3.1.1", true},
		"a responses that isn't": {"      responses:\n", "      answers:\n", false},
		"a place that isn't":     {"in: query", "in: elsewhere", false},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(string(data), test.old) {
				t.Fatalf("the document has no %q", test.old)
			}
			document, err := libopenapi.NewDocument([]byte(strings.ReplaceAll(string(data), test.old, test.new)))
			if err != nil {
				t.Fatal(err)
			}
			checks, errs := validator.NewValidator(document)
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			if valid, problems := checks.ValidateDocument(); valid != test.valid {
				t.Errorf("valid: %t, want %t: %s", valid, test.valid, text(problems))
			}
		})
	}
}

// TestWhatIsDescribed has one message that is right and what is wrong beside it.
func TestWhatIsDescribed(t *testing.T) {
	d := readDocument(t, checkout(t))
	const event = `"id": "a", "source": "urn:uuid:1", "data": {"@type": "type.googleapis.com/x.v1.Y", "any": 1}`
	for _, test := range []struct{ schema, right, wrong string }{
		{"tidings.v1.Event", `{` + event + `}`, `{"id": "a", "source": "/"}`},
		{"tidings.v1.Event", `{` + event + `, "time": "2026-01-01T00:00:00Z"}`, `{` + event + `, "time": "yesterday"}`},
		{"tidings.v1.Event", `{` + event + `, "attributes": {"a": "b"}}`, `{` + event + `, "attributes": {"id": "b"}}`},
		{"tidings.v1.Event", `{` + event + `, "subject": "a"}`, `{` + event + `, "subjet": "a"}`},
		{"google.protobuf.Any", `{"@type": "a/x.v1.Y"}`, `{"value": "AA=="}`},
		{"google.protobuf.Duration", `"1.5s"`, `"PT1.5S"`},
		{"tidings.options.v1.TopicSettings", `{"retention": {"maxBytes": "1"}}`, `{"retention": {"maxBytes": "1k"}}`},
		{"tidings.options.v1.TopicSettings", `{"retention": {"maxBytes": 0}}`, `{"retention": {"maxBytes": -1}}`},
		{"tidings.options.v1.TopicSettings", `{"dedupe": "DEDUPE_EVENT"}`, `{"dedupe": "EVENT"}`},
		{"tidings.v1.Settlement", `{"deliveryToken": "a", "ack": {}}`, `{"deliveryToken": "a"}`},
		{"tidings.v1.Settlement", `{"deliveryToken": "a", "nack": {}}`, `{"deliveryToken": "a", "ack": {}, "nack": {}}`},
		{"tidings.v1.PublishStreamResponse", `{"batch": "1"}`, `{"published": {}, "error": {}}`},
		{"connect.Error", `{"code": "not_found"}`, `{"code": "NOT_FOUND"}`},
		{
			"connect.Error",
			`{"code": "aborted", "details": [{"type": "google.rpc.ErrorInfo", "value": "AA", "debug": {"reason": "A"}}]}`,
			`{"code": "aborted", "details": [{"type": "google.rpc.ErrorInfo", "value": "AA", "debug": {"reason": 1}}]}`,
		},
		{
			"connect.Error", `{"code": "aborted", "details": [{"type": "another", "value": "AA", "debug": 1}]}`,
			`{"code": "aborted", "details": [{"value": "AA"}]}`,
		},
	} {
		if problem := d.message(test.schema, []byte(test.right)); problem != "" {
			t.Errorf("%s: %s: %s", test.schema, test.right, problem)
		}
		if d.message(test.schema, []byte(test.wrong)) == "" {
			t.Errorf("%s: %s is taken", test.schema, test.wrong)
		}
	}
}

// TestWhatAnswersAreDescribed has answers that a server doesn't give.
func TestWhatAnswersAreDescribed(t *testing.T) {
	d := readDocument(t, checkout(t))
	for _, test := range []struct {
		status int
		body   string
		want   bool
	}{
		{http.StatusOK, `{"topic": {"name": "a"}}`, true},
		{http.StatusOK, `{"topic": {"name": "A"}}`, false},
		{http.StatusOK, `{"topics": []}`, false},
		{http.StatusNotFound, `{"code": "not_found"}`, true},
		{http.StatusNotFound, `{"error": "not_found"}`, false},
		{http.StatusTeapot, `{"code": "unknown"}`, true},
		{http.StatusTeapot, `{}`, false},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
			"http://127.0.0.1/tidings.v1.TopicService/GetTopic", reader([]byte(`{"name": "a"}`)))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", unary)
		response := &http.Response{
			StatusCode: test.status, Header: http.Header{"Content-Type": {unary}}, Body: reader([]byte(test.body)),
		}
		if problem := d.response(request, response); (problem == "") != test.want {
			t.Errorf("%d %s: described: %t, want %t: %s", test.status, test.body, problem == "", test.want, problem)
		}
	}
}
