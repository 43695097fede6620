package openapitest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"
	"github.com/pb33f/libopenapi-validator/errors"
	"github.com/pb33f/libopenapi-validator/schema_validation"
	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"
)

// description is the document, to compare calls with.
type description struct {
	model *v3.Document
	// checking guards checks and schemas: they write to the nodes of the document.
	checking sync.Mutex
	checks   validator.Validator
	schemas  schema_validation.SchemaValidator
	// paths are those of the calls; requests and answers name the schemas of what
	// streams consist of.
	paths             map[string]bool
	requests, answers map[string]string
	// responses are what is said of the answers of a call, by their status.
	responses map[string]map[string]string
}

func readDocument(t *testing.T, root string) *description {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "docs", "openapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return parseDocument(t, closed(t, data))
}

// closed returns a document in which an answer has nothing but what is described. The
// document itself doesn't say so, because a newer server may send more.
func closed(t *testing.T, data []byte) []byte {
	t.Helper()
	var document map[string]any
	if err := yaml.Unmarshal(data, &document); err != nil {
		t.Fatal(err)
	}
	components, _ := document["components"].(map[string]any)
	schemas, _ := components["schemas"].(map[string]any)
	for _, schema := range schemas {
		schema, _ := schema.(map[string]any)
		if _, set := schema["additionalProperties"]; !set && schema["properties"] != nil {
			schema["additionalProperties"] = false
		}
	}
	data, err := yaml.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func parseDocument(t *testing.T, data []byte) *description {
	t.Helper()
	document, err := libopenapi.NewDocument(data)
	if err != nil {
		t.Fatal(err)
	}
	model, err := document.BuildV3Model()
	if err != nil {
		t.Fatal(err)
	}
	options := []config.Option{config.WithFormatAssertions(), config.WithContentParameterValidation()}
	checks, errs := validator.NewValidator(document, options...)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	d := &description{
		model: &model.Model, checks: checks, schemas: schema_validation.NewSchemaValidator(options...),
		paths: make(map[string]bool), requests: make(map[string]string), answers: make(map[string]string),
		responses: make(map[string]map[string]string),
	}
	for path, item := range model.Model.Paths.PathItems.FromOldest() {
		d.paths[path] = true
		d.responses[path] = make(map[string]string)
		for status, response := range item.Post.Responses.Codes.FromOldest() {
			d.responses[path][status] = response.Description
		}
		if media, ok := item.Post.RequestBody.Content.Get(streaming); ok {
			d.requests[path] = itemSchema(t, media)
			answer, _ := item.Post.Responses.Codes.Get("200")
			media, _ = answer.Content.Get(streaming)
			d.answers[path] = itemSchema(t, media)
		}
	}
	return d
}

// itemSchema returns the name of the schema of the messages of a stream.
func itemSchema(t *testing.T, media *v3.MediaType) string {
	t.Helper()
	node, ok := media.Extensions.Get("x-item-schema")
	if !ok {
		t.Fatal("no x-item-schema")
	}
	var item struct {
		Ref string `yaml:"$ref"`
	}
	if err := node.Decode(&item); err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(item.Ref, "#/components/schemas/")
}

// request returns in what way a request isn't as described. Empty: it is.
func (d *description) request(request *http.Request) string {
	d.checking.Lock()
	defer d.checking.Unlock()
	_, problems := d.checks.ValidateHttpRequestSync(request)
	return text(problems)
}

// response returns in what way an answer isn't as described.
func (d *description) response(request *http.Request, response *http.Response) string {
	d.checking.Lock()
	defer d.checking.Unlock()
	_, problems := d.checks.ValidateHttpResponse(request, response)
	return text(problems)
}

// names reports whether an answer with a status may have a reason. An error from before
// the call has none.
func (d *description) names(path string, status int, reason string) bool {
	return reason == "" || strings.Contains(d.responses[path][strconv.Itoa(status)], "`"+reason+"`")
}

// message returns in what way a message isn't as a schema describes it.
func (d *description) message(schema string, message []byte) string {
	proxy, ok := d.model.Components.Schemas.Get(schema)
	if !ok {
		return "no schema " + schema
	}
	if !json.Valid(message) {
		return "no JSON"
	}
	d.checking.Lock()
	defer d.checking.Unlock()
	_, problems := d.schemas.ValidateSchemaBytes(proxy.Schema(), message)
	return text(problems)
}

func text(problems []*errors.ValidationError) string {
	var all []string
	for _, problem := range problems {
		all = append(all, problem.Message+": "+problem.Reason)
		for _, cause := range problem.SchemaValidationErrors {
			all = append(all, cause.FieldPath+": "+cause.Reason)
		}
	}
	return strings.Join(all, "; ")
}

func reader(data []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(data)) }

// buffer is a bytes.Buffer that is safe for concurrent use.
type buffer struct {
	mu       sync.Mutex
	contents bytes.Buffer
}

func (b *buffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.contents.Write(data)
}

func (b *buffer) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.contents.Bytes())
}
