package ruletext

import (
	"slices"
	"testing"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// fieldNamed is a field of descriptor.proto, of which all kinds are at hand.
func fieldNamed(t *testing.T, message protoreflect.ProtoMessage, name protoreflect.Name) protoreflect.FieldDescriptor {
	t.Helper()
	field := message.ProtoReflect().Descriptor().Fields().ByName(name)
	if field == nil {
		t.Fatalf("no field %s", name)
	}
	return field
}

func TestPhrases(t *testing.T) {
	text := fieldNamed(t, &descriptorpb.FieldDescriptorProto{}, "name")
	kind := fieldNamed(t, &descriptorpb.FieldDescriptorProto{}, "type")
	for rules, want := range map[string][]string{
		``:                                     nil,
		`required: true`:                       {"required"},
		`required: true ignore: IGNORE_ALWAYS`: nil,
		`ignore: IGNORE_IF_ZERO_VALUE`:         nil,
		`string: {min_len: 1 max_len: 1024}`:   {"1 to 1,024 characters"},
		`string: {len: 3}`:                     {"exactly 3 characters"},
		`string: {min_bytes: 1}`:               {"at least 1 byte"},
		`bytes: {max_len: 12345678}`:           {"at most 12,345,678 bytes"},
		`string: {pattern: "a|` + "`" + `"}`:   {"matches `` a|` ``"},
		`string: {uri_ref: true}`:              {"`uri_ref`"},
		`string: {strict: false}`:              {"`strict: false`"},
		`string: {const: "x"}`:                 {"`x` and nothing else"},
		`string: {not_in: ["a", "b"]}`:         {"none of `a`, `b`"},
		`int32: {gte: -10000}`:                 {"at least -10,000"},
		`int64: {gt: 0 lt: 10}`:                {"more than 0 and less than 10"},
		`int64: {lte: 10}`:                     {"at most 10"},
		`double: {gt: 0.5}`:                    {"more than 0.5"},
		`double: {lt: 2}`:                      {"less than 2"},
		`duration: {gte: {seconds: 1} lte: {seconds: 604800}}`: {"1 second to 7 days"},
		`duration: {lte: {nanos: 1500000}}`:                    {"at most 1.5ms"},
		`duration: {gte: {}}`:                                  {"at least 0"},
		`timestamp: {lt: {seconds: 0}}`:                        {"less than 1970-01-01T00:00:00Z"},
		`field_mask: {const: {paths: ["a", "b.c"]}}`:           {"`a,b.c` and nothing else"},
		`enum: {defined_only: true not_in: 0}`:                 {"a value that the enum names", "none of `0`"},
		`repeated: {min_items: 1 unique: true items: {string: {max_len: 2 min_len: 1}}}`: {
			"at least 1 element", "no two are equal", "each: 1 to 2 characters",
		},
		`map: {max_pairs: 1 keys: {string: {min_len: 1}} values: {required: true}}`: {
			"at most 1 entry", "each key: at least 1 character", "each value: required",
		},
		`cel: {id: "a" message: "must be so" expression: "true"} cel: {id: "b" expression: "this > 0"}`: {
			"must be so", "`this > 0`",
		},
		`cel_expression: "this < 9" ignore: IGNORE_IF_ZERO_VALUE`: {"unless it has its zero value: `this < 9`"},
	} {
		parsed := new(validate.FieldRules)
		if err := prototext.Unmarshal([]byte(rules), parsed); err != nil {
			t.Fatalf("%s: %v", rules, err)
		}
		if got := fieldPhrases(parsed, text); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", rules, got, want)
		}
	}
	in := validate.FieldRules_builder{Enum: validate.EnumRules_builder{In: []int32{9, 900}}.Build()}.Build()
	if got, want := fieldPhrases(in, kind), []string{"one of `TYPE_STRING`, `900`"}; !slices.Equal(got, want) {
		t.Errorf("values of an enum: %q, want %q", got, want)
	}
}
