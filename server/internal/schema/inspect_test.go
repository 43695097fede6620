package schema

import (
	"context"
	"errors"
	"strings"
	"testing"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// legacy is what proto2 has: required fields, a group, extensions, a closed
// enum, texts that parsers don't check.
const legacy = `
name: "legacy/legacy.proto" package: "legacy" syntax: "proto2"
dependency: ["google/protobuf/any.proto", "google/protobuf/timestamp.proto", "google/protobuf/struct.proto"]
message_type {
  name: "Old"
  field { name: "id" number: 1 label: LABEL_REQUIRED type: TYPE_STRING }
  field { name: "sub" number: 2 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".legacy.Sub" }
  field { name: "grp" number: 3 label: LABEL_OPTIONAL type: TYPE_GROUP type_name: ".legacy.Old.Grp" }
  field { name: "kind" number: 4 label: LABEL_OPTIONAL type: TYPE_ENUM type_name: ".legacy.Kind" }
  field { name: "kinds" number: 5 label: LABEL_REPEATED type: TYPE_ENUM type_name: ".legacy.Kind" options { packed: true } }
  field { name: "named" number: 6 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".legacy.Old.NamedEntry" }
  field { name: "any" number: 7 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".google.protobuf.Any" }
  field { name: "old" number: 8 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".legacy.Old" }
  field { name: "value" number: 9 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".google.protobuf.Value" }
  field { name: "texts" number: 10 label: LABEL_REPEATED type: TYPE_STRING }
  nested_type {
    name: "Grp"
    field { name: "must" number: 1 label: LABEL_REQUIRED type: TYPE_STRING }
    field { name: "old" number: 2 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".legacy.Old" }
  }
  nested_type {
    name: "NamedEntry" options { map_entry: true }
    field { name: "key" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING }
    field { name: "value" number: 2 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".legacy.Sub" }
  }
  extension_range { start: 100 end: 200 }
}
message_type { name: "Sub" field { name: "must" number: 1 label: LABEL_REQUIRED type: TYPE_STRING } }
enum_type { name: "Kind" value { name: "A" number: 0 } value { name: "B" number: 1 } }
extension { name: "text" number: 100 extendee: ".legacy.Old" label: LABEL_OPTIONAL type: TYPE_STRING }
extension { name: "time" number: 101 extendee: ".legacy.Old" label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".google.protobuf.Timestamp" }
extension { name: "subs" number: 102 extendee: ".legacy.Old" label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".legacy.Sub" }
extension { name: "held" number: 103 extendee: ".legacy.Old" label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".google.protobuf.Any" }
`

// edition is the same in an edition, as far as it has it.
const edition = `
name: "legacy/edition.proto" package: "legacy" syntax: "editions" edition: EDITION_2023
message_type {
  name: "New"
  field { name: "id" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING options { features { field_presence: LEGACY_REQUIRED } } }
  field { name: "text" number: 2 label: LABEL_OPTIONAL type: TYPE_STRING options { features { utf8_validation: NONE } } }
  field { name: "delimited" number: 3 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".legacy.New" options { features { message_encoding: DELIMITED } } }
  field { name: "closed" number: 4 label: LABEL_OPTIONAL type: TYPE_ENUM type_name: ".legacy.Closed" }
  field { name: "checked" number: 5 label: LABEL_OPTIONAL type: TYPE_STRING }
}
enum_type { name: "Closed" options { features { enum_type: CLOSED } } value { name: "C" number: 0 } }
`

func legacyTypes(tb testing.TB) *Set {
	tb.Helper()
	files := &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{
		protodesc.ToFileDescriptorProto(anypb.File_google_protobuf_any_proto),
		protodesc.ToFileDescriptorProto(structpb.File_google_protobuf_struct_proto),
		protodesc.ToFileDescriptorProto(timestamppb.File_google_protobuf_timestamp_proto),
	}}
	for _, text := range []string{legacy, edition} {
		file := new(descriptorpb.FileDescriptorProto)
		if err := prototext.Unmarshal([]byte(text), file); err != nil {
			tb.Fatal(err)
		}
		files.File = append(files.File, file)
	}
	encoded, err := proto.Marshal(files)
	if err != nil {
		tb.Fatal(err)
	}
	set, err := Parse(encoded)
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

// in encodes a field with the encoding of a text or a message.
func in(number protowire.Number, parts ...string) string {
	return string(protowire.AppendString(protowire.AppendTag(nil, number, protowire.BytesType), strings.Join(parts, "")))
}

func group(number protowire.Number, parts ...string) string {
	begun := protowire.AppendTag(nil, number, protowire.StartGroupType)
	return string(protowire.AppendTag(append(begun, strings.Join(parts, "")...), number, protowire.EndGroupType))
}

func number(n protowire.Number, value uint64) string {
	return string(protowire.AppendVarint(protowire.AppendTag(nil, n, protowire.VarintType), value))
}

func anyOf(name, value string) string {
	return in(1, "type.googleapis.com/", name) + in(2, value)
}

func nest(levels int, wrap func(string) string, inner string) string {
	for range levels {
		inner = wrap(inner)
	}
	return inner
}

const bad = "\xff"

// What protobuf's parsers let pass, and a consumer would stumble over, is
// refused with its place and its rule, wherever it stands.
func TestCheckOfLegacySchemas(t *testing.T) {
	set := legacyTypes(t)
	id := in(1, "i")
	good := in(1, "s")
	wrapOld := func(inner string) string { return id + in(8, inner) }
	wrapAny := func(inner string) string { return anyOf("google.protobuf.Any", inner) }
	lists := func(levels int) string {
		return nest(levels, func(inner string) string { return in(6, in(1, inner)) }, in(3, "x"))
	}
	structs := func(levels int) string {
		return nest(levels, func(inner string) string { return in(5, in(1, in(1, "k"), in(2, inner))) }, in(3, "x"))
	}
	for name, test := range map[string]struct {
		payload     string
		field, rule string // Both empty: accepted. The rule "malformed": ErrMalformed.
	}{
		"least":                         {id, "", ""},
		"required":                      {"", "id", requiredRule},
		"required of a message":         {id + in(2), "sub.must", requiredRule},
		"set in a second part":          {id + in(2) + in(2, good), "", ""},
		"required of a group":           {id + group(3), "grp.must", requiredRule},
		"group":                         {id + group(3, good), "", ""},
		"required of a value of a map":  {id + in(6, in(1, "k"), in(2)), `named["k"].must`, requiredRule},
		"required of an element":        {id + in(8, id) + in(8), "old[1].id", requiredRule},
		"required of an extension":      {id + in(102, good) + in(102), "[legacy.subs][1].must", requiredRule},
		"required in an Any":            {id + in(7, anyOf("legacy.Sub", "")), "any[0].must", requiredRule},
		"required in an Any in an Any":  {id + in(7, anyOf("google.protobuf.Any", anyOf("legacy.Old", id+in(2)))), "any[0].sub.must", requiredRule},
		"required in a held extension":  {id + in(103, anyOf("legacy.Sub", "")), "[legacy.held].must", requiredRule},
		"text":                          {in(1, bad), "id", readableRule},
		"text in a list":                {id + in(10, "a") + in(10, bad), "texts[1]", readableRule},
		"text of a group":               {id + group(3, in(1, bad)), "grp.must", readableRule},
		"text of a nested group":        {id + group(3, good, in(2, id, group(3, in(1, bad)))), "grp.old.grp.must", readableRule},
		"text as a key":                 {id + in(6, in(1, bad), in(2, good)), "named", readableRule},
		"text in a value":               {id + in(6, in(1, "k"), in(2, in(1, bad))), `named["k"].must`, readableRule},
		"text of an extension":          {id + in(100, bad), "[legacy.text]", readableRule},
		"text in an extension":          {id + in(102, in(1, bad)), "[legacy.subs][0].must", readableRule},
		"text in an Any":                {id + in(7, anyOf("legacy.Sub", in(1, bad))), "any[0].must", readableRule},
		"time in an extension":          {id + in(101, number(1, 1<<60)), "[legacy.time]", readableRule},
		"no encoding in an extension":   {id + in(101, bad), "[legacy.time]", "malformed"},
		"extension":                     {id + in(101, number(1, 1)) + in(100, "x") + in(102, good), "", ""},
		"unknown type in an extension":  {id + in(103, anyOf("nobody.Knows", "")), "[legacy.held]", readableRule},
		"type URL without a slash":      {id + in(7, in(1, "legacy.Sub"), in(2, good)), "any[0]", readableRule},
		"Any":                           {id + in(7, anyOf("legacy.Sub", good)), "", ""},
		"unknown field":                 {id + number(11, 1), "11", unknownFieldRule},
		"unknown extension":             {id + number(150, 1), "150", unknownFieldRule},
		"unknown group":                 {id + group(12, number(1, 1)), "12", unknownFieldRule},
		"unknown field of a group":      {id + group(3, good, number(9, 1)), "grp.9", unknownFieldRule},
		"unknown field of an extension": {id + in(102, good, number(9, 1)), "[legacy.subs][0].9", unknownFieldRule},
		"unknown field in an Any":       {id + in(7, anyOf("legacy.Sub", good+number(9, 1))), "any[0].9", unknownFieldRule},
		"unknown field of an Any":       {id + in(7, anyOf("legacy.Sub", good), number(9, 1)), "any[0].9", unknownFieldRule},
		"unknown field of an entry":     {id + in(6, in(1, "k"), in(2, good), number(9, 1)), "named.9", unknownFieldRule},
		"another wire type":             {id + number(2, 1), "sub", unknownFieldRule},
		"a group that is a message":     {id + in(3, good), "grp", unknownFieldRule},
		"a message that is a group":     {id + group(2, good), "sub", unknownFieldRule},
		"closed enum":                   {id + number(4, 9), "kind", closedEnumRule},
		"number of the enum":            {id + number(4, 1), "", ""},
		"closed enum, packed":           {id + in(5, "\x00\x09"), "kinds[1]", closedEnumRule},
		"closed enum, one by one":       {id + number(5, 1) + number(5, 9), "kinds[1]", closedEnumRule},
		"a group ends elsewhere":        {id + string(protowire.AppendTag(nil, 3, protowire.EndGroupType)), "", "malformed"},
		"a group doesn't end":           {id + string(protowire.AppendTag(nil, 3, protowire.StartGroupType)), "grp", "malformed"},
		"no kind":                       {id + in(9), "value", readableRule},

		"100 messages":           {nest(99, wrapOld, id), "", ""},
		"101 messages":           {nest(100, wrapOld, id), "", "malformed"},
		"98 Anys in one another": {id + in(7, nest(98, wrapAny, "")), "", ""},
		"100 and a message":      {id + in(7, nest(98, wrapAny, anyOf("legacy.Sub", good))), "any[0]", readableRule},
		"100,000 Anys":           {id + in(7, nest(2000, wrapAny, "")), "any[0]", readableRule},
		"49 lists":               {id + in(9, lists(49)), "", ""},
		"50 lists":               {id + in(9, lists(50)), "", "malformed"},
		"a tag of five bytes":    {"\x8a\x80\x80\x80\x00" + id[1:], "", ""},
		"a tag of ten bytes":     {"\x8a\x80\x80\x80\x80\x80\x80\x80\x80\x00" + id[1:], "", "malformed"},
		"a length of five bytes": {"\x0a\x81\x80\x80\x80\x00i", "", ""},
		"a length of ten bytes":  {"\x0a\x81\x80\x80\x80\x80\x80\x80\x80\x80\x00i", "", "malformed"},
		"32 structs":             {id + in(9, structs(32)), "", ""},
		"33 structs":             {id + in(9, structs(33)), "", "malformed"},
	} {
		t.Run(name, func(t *testing.T) { expectRefusal(t, set, "legacy.Old", test.payload, test.field, test.rule) })
	}
	for name, test := range map[string]struct{ payload, field, rule string }{
		"least":                   {id, "", ""},
		"required":                {"", "id", requiredRule},
		"required of a delimited": {id + group(3), "delimited.id", requiredRule},
		"text":                    {id + in(2, bad), "text", readableRule},
		"text that is checked":    {id + in(5, bad), "checked", "malformed"},
		"closed enum":             {id + number(4, 1), "closed", closedEnumRule},
		"100 groups":              {nest(99, func(inner string) string { return id + group(3, inner) }, id), "", ""},
		"101 groups":              {nest(100, func(inner string) string { return id + group(3, inner) }, id), "", "malformed"},
		"text of a delimited":     {id + group(3, id, in(2, bad)), "delimited.text", readableRule},
	} {
		t.Run("edition, "+name, func(t *testing.T) { expectRefusal(t, set, "legacy.New", test.payload, test.field, test.rule) })
	}
}

func expectRefusal(t *testing.T, set *Set, name, payload, field, rule string) {
	t.Helper()
	checked, err := set.Type(name)
	if err != nil {
		t.Fatal(err)
	}
	_, err = checked.Check(context.Background(), []byte(payload))
	var invalid *InvalidError
	switch {
	case rule == "malformed":
		if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), field) {
			t.Errorf("got %v, want malformed at %q", err, field)
		}
	case rule == "":
		if err != nil {
			t.Fatalf("refused: %v", err)
		}
		message := dynamicpb.NewMessage(checked.Descriptor())
		if err := (proto.UnmarshalOptions{Resolver: set, RecursionLimit: MaxDepth}).Unmarshal([]byte(payload), message); err != nil {
			t.Errorf("a consumer can't decode it: %v", err)
		}
	case !errors.As(err, &invalid):
		t.Errorf("got %v, want %s at %s", err, rule, field)
	default:
		violation := invalid.Violations.GetViolations()[0]
		if got := protovalidate.FieldPathString(violation.GetField()); got != field || violation.GetRuleId() != rule {
			t.Errorf("%s at %s (%s), want %s at %s", violation.GetRuleId(), got, violation.GetMessage(), rule, field)
		}
	}
}

// Two values that JSON would give one name can't be told apart there, nor a value
// from the type.
func TestNamesInJSON(t *testing.T) {
	file := new(descriptorpb.FileDescriptorProto)
	if err := prototext.Unmarshal([]byte(`
name: "names.proto" package: "names" syntax: "proto2"
message_type {
  name: "Named"
  field { name: "a_b" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING json_name: "aB" }
  field { name: "aB" number: 2 label: LABEL_OPTIONAL type: TYPE_STRING json_name: "aB" }
  field { name: "type" number: 3 label: LABEL_OPTIONAL type: TYPE_STRING json_name: "@type" }
  field { name: "below" number: 4 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".names.Named" }
}`), file); err != nil {
		t.Fatal(err)
	}
	set, err := Parse(image(t, file))
	if err != nil {
		t.Fatal(err)
	}
	for payload, field := range map[string]string{in(1, "x"): "", in(2, "x"): "", in(1, "x") + in(2, "y"): " ", in(3, "x"): " ", in(4, in(3, "x")): "below"} {
		rule := readableRule
		if field == "" {
			rule = ""
		}
		expectRefusal(t, set, "names.Named", payload, strings.TrimSpace(field), rule)
	}
}
