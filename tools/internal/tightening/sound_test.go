package tightening

import (
	"fmt"
	"testing"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

func stringValue(text string) protoreflect.Value { return protoreflect.ValueOfString(text) }

func stringRules(t *testing.T, format string) protoreflect.Message {
	t.Helper()
	rules := &validate.StringRules{}
	if err := prototext.Unmarshal([]byte(format+": true"), rules); err != nil {
		t.Fatal(err)
	}
	return rules.ProtoReflect()
}

// fieldWith returns a field with rules, in a file of proto3.
func fieldWith(t *testing.T, kind descriptorpb.FieldDescriptorProto_Type, optional bool, text string) protoreflect.FieldDescriptor {
	t.Helper()
	rules := &validate.FieldRules{}
	if err := prototext.Unmarshal([]byte(text), rules); err != nil {
		t.Fatal(err)
	}
	options := &descriptorpb.FieldOptions{}
	proto.SetExtension(options, validate.E_Field, rules)
	field := &descriptorpb.FieldDescriptorProto{
		Name: new("value"), Number: new(int32(1)), Type: kind.Enum(),
		Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(), Options: options,
	}
	message := &descriptorpb.DescriptorProto{Name: new("M"), Field: []*descriptorpb.FieldDescriptorProto{field}}
	if optional {
		field.Proto3Optional, field.OneofIndex = new(true), new(int32(0))
		message.OneofDecl = []*descriptorpb.OneofDescriptorProto{{Name: new("_value")}}
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: new("sound.proto"), Syntax: new("proto3"), MessageType: []*descriptorpb.DescriptorProto{message},
		Dependency: []string{validate.File_buf_validate_validate_proto.Path()},
	}, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	return file.Messages().Get(0).Fields().Get(0)
}

// TestPassesOnlyWhatWasTaken compares many rules with many others, and asks
// protovalidate about values: a change that passes refuses none that were taken. Of
// numbers, all sets here can be told apart by the values.
func TestPassesOnlyWhatWasTaken(t *testing.T) {
	bounds := []string{
		"", "gt: 0", "gte: 0", "gte: 1", "gt: 3", "lt: 3", "lte: 3", "gte: 1 lte: 3", "lt: 1 gt: 3", "lt: 3 gte: 3", "gte: 3 lt: 3",
		"const: 0", "const: 2", "in: [1, 2, 3]", "in: [0, 2]", "not_in: [0]", "not_in: [1, 2]", "gte: 1 not_in: [2]", "in: [2, 9] lt: 5",
	}
	texts := []string{
		"", "min_len: 1", "min_len: 2", "max_len: 2", "len: 2", "max_bytes: 2", "min_bytes: 2", "prefix: 'a'", "prefix: 'ab'", "suffix: 'b'",
		"contains: 'a'", "contains: 'é'", "not_contains: 'b'", "pattern: '^a'", "pattern: '^[ab]+$'", "pattern: '^[ab]{1,2}$'", "const: 'ab'",
		"in: ['', 'a']", "in: ['a', 'é']", "not_in: ['']", "not_in: ['a']", "email: true", "hostname: true", "prefix: 'a' max_len: 1",
	}
	var numbers, words []protoreflect.Value
	for n := int32(-3); n < 13; n++ {
		numbers = append(numbers, protoreflect.ValueOfInt32(n))
	}
	for _, text := range []string{"", "a", "b", "é", "ab", "ba", "aé", "éé", "abc", "aaa", "bbb", "a@b", "a@é", "a-b", "A", "\n"} {
		words = append(words, stringValue(text))
	}
	for _, optional := range []bool{false, true} {
		t.Run(fmt.Sprintf("int32, optional %v", optional), func(t *testing.T) {
			tryAll(t, "int32", descriptorpb.FieldDescriptorProto_TYPE_INT32, optional, bounds, numbers, true)
		})
		t.Run(fmt.Sprintf("string, optional %v", optional), func(t *testing.T) {
			tryAll(t, "string", descriptorpb.FieldDescriptorProto_TYPE_STRING, optional, texts, words, false)
		})
	}
}

// tryAll compares each of the rules with each other one, with and without `required`
// and `ignore`.
func tryAll(t *testing.T, name string, kind descriptorpb.FieldDescriptorProto_Type, optional bool, rules []string, values []protoreflect.Value, exact bool) {
	t.Helper()
	var fields []protoreflect.FieldDescriptor
	var texts []string
	for _, rule := range rules {
		for _, more := range []string{"", "required: true", "ignore: IGNORE_IF_ZERO_VALUE"} {
			text := fmt.Sprintf("%s: {%s} %s", name, rule, more)
			texts = append(texts, text)
			fields = append(fields, fieldWith(t, kind, optional, text))
		}
	}
	taken := make([][]bool, len(fields))
	compare, err := NewFields(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, field := range fields {
		absent := dynamicpb.NewMessage(field.ContainingMessage())
		taken[i] = append(taken[i], refusal(compare.is, absent) == "")
		for _, value := range values {
			message := dynamicpb.NewMessage(field.ContainingMessage())
			message.Set(field, value)
			taken[i] = append(taken[i], refusal(compare.is, message) == "")
		}
	}
	for i, was := range fields {
		for j, is := range fields {
			findings, err := compare.Compare(was, is)
			if err != nil {
				t.Fatal(err)
			}
			lost := ""
			for k := range taken[i] {
				if taken[i][k] && !taken[j][k] {
					lost = "without the field"
					if k > 0 {
						lost = fmt.Sprintf("%q", values[k-1].String())
					}
				}
			}
			if lost != "" && len(findings) == 0 {
				t.Errorf("{%s} to {%s} passes, and %s is refused", texts[i], texts[j], lost)
			}
			if exact && lost == "" && len(findings) > 0 {
				t.Errorf("{%s} to {%s} refuses nothing, and is found: %v", texts[i], texts[j], findings)
			}
		}
	}
}

// TestFormerNamesOfIgnore has rules that were compiled with protovalidate before 0.8.
func TestFormerNamesOfIgnore(t *testing.T) {
	compare, err := NewFields(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	field := func(numbers ...protowire.Number) protoreflect.FieldDescriptor {
		field := fieldWith(t, descriptorpb.FieldDescriptorProto_TYPE_STRING, false, "string: {min_len: 2}")
		rules, _ := proto.GetExtension(field.Options(), validate.E_Field).(*validate.FieldRules)
		var unknown []byte
		for _, number := range numbers {
			unknown = protowire.AppendVarint(protowire.AppendTag(unknown, number, protowire.VarintType), 1)
		}
		rules.ProtoReflect().SetUnknown(unknown)
		return field
	}
	for _, test := range []struct {
		name    string
		was, is protoreflect.FieldDescriptor
		want    string
	}{
		{"ignore_empty is added", field(), field(26), ""},
		{"ignore_empty stays", field(26), field(26), ""},
		{"skipped is added", field(), field(24), ""},
		{"ignore_empty takes the place of skipped", field(24), field(26), "string.min_len takes fewer sizes: they were 0 or more, they are 2 or more"},
		{"ignore_empty goes", field(26), field(), "ignore no longer lets the zero value pass: must be at least 2 characters"},
		{"one that nobody knows", field(), field(99), "has a rule with the number 99 added or changed, which this version of protovalidate doesn't know"},
	} {
		findings, err := compare.Compare(test.was, test.is)
		if err != nil {
			t.Fatal(err)
		}
		var got string
		for _, finding := range findings {
			got += finding.String()
		}
		if got != test.want {
			t.Errorf("%s: found %q, want %q", test.name, got, test.want)
		}
	}
}
