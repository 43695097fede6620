package openapi

import (
	"strings"
	"testing"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/reflect/protoreflect"
)

func TestKeywords(t *testing.T) {
	for rules, test := range map[string]struct {
		want     string
		complete bool
	}{
		``:               {"", true},
		`required: true`: {"", true}, // It is said of the message.
		`string: {min_len: 1 max_len: 9 pattern: "^a$"}`:                {"maxLength: 9, minLength: 1, pattern: ^a$", true},
		`string: {uri_ref: true}`:                                       {"format: uri-reference", true},
		`string: {const: "a"}`:                                          {"const: a", true},
		`string: {in: ["a", "b"]}`:                                      {"enum: [a, b]", true},
		`string: {not_in: "a"}`:                                         {"not: {enum: [a]}", true},
		`string: {min_bytes: 1}`:                                        {"", false},
		`string: {max_len: 9} cel: {id: "a" expression: "true"}`:        {"maxLength: 9", false},
		`string: {max_len: 9} cel_expression: "true"`:                   {"maxLength: 9", false},
		`string: {min_len: 9} ignore: IGNORE_IF_ZERO_VALUE`:             {"", false},
		`int32: {gte: 1 lt: 9}`:                                         {"exclusiveMaximum: 9, minimum: 1", true},
		`double: {gt: 0.5}`:                                             {"exclusiveMinimum: 0.5", true},
		`duration: {gte: {seconds: 1}}`:                                 {"", false},
		`enum: {defined_only: true}`:                                    {"", true},
		`enum: {not_in: 0}`:                                             {"", false},
		`repeated: {min_items: 1 unique: true items: {required: true}}`: {"minItems: 1, uniqueItems: true", true},
		`map: {max_pairs: 2 keys: {required: true}}`:                    {"maxProperties: 2", true},
	} {
		parsed := new(validate.FieldRules)
		if err := prototext.Unmarshal([]byte(rules), parsed); err != nil {
			t.Fatalf("%s: %v", rules, err)
		}
		schema := newObject()
		complete := keywords(schema, parsed)
		if got := flow(t, schema); got != test.want || complete != test.complete {
			t.Errorf("%s: {%s}, complete: %t, want {%s}, complete: %t", rules, got, complete, test.want, test.complete)
		}
	}
}

func TestScalars(t *testing.T) {
	for kind, want := range map[protoreflect.Kind]string{
		protoreflect.BoolKind:   "type: boolean",
		protoreflect.Uint32Kind: "maximum: 4294967295, minimum: 0, type: integer",
		protoreflect.Sint64Kind: "format: int64, pattern: '^-?[0-9]+$', type: [string, integer]",
		protoreflect.Uint64Kind: "pattern: '^[0-9]+$', type: [string, integer]",
		protoreflect.FloatKind:  "format: float, type: number",
		protoreflect.BytesKind:  "contentEncoding: base64, type: string",
		protoreflect.StringKind: "type: string",
	} {
		if got := flow(t, scalar(kind)); got != want {
			t.Errorf("%v: {%s}, want {%s}", kind, got, want)
		}
	}
}

// flow writes a schema in one line, in the order of its keywords.
func flow(t *testing.T, schema *object) string {
	t.Helper()
	sorted := make(map[string]any)
	if err := schema.node.Decode(&sorted); err != nil {
		t.Fatal(err)
	}
	node := new(yaml.Node)
	if err := node.Encode(sorted); err != nil {
		t.Fatal(err)
	}
	node.Style = yaml.FlowStyle
	data, err := yaml.Marshal(node)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(strings.TrimPrefix(strings.ReplaceAll(string(data), "\n", ""), "{"), "}")
}
