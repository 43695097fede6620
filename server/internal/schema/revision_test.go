package schema

import (
	"strings"
	"testing"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// The parts of the schemas whose revisions are compared. Order leads to Line and
// Kind, which lead to each other and to nothing, in this order.
const (
	revisedOrder = `
	message_type {
	  name: "Order"
	  field { name: "order_id" string: 1 }
	  field { name: "lines" number: 2 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".x.v1.Line" }
	  field { name: "named" number: 3 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".x.v1.Order.NamedEntry" }
	  nested_type {
	    name: "NamedEntry" options { map_entry: true }
	    field { name: "key" string: 1 }
	    field { name: "value" number: 2 label: LABEL_OPTIONAL type: TYPE_ENUM type_name: ".x.v1.Kind" }
	  }
	}`
	revisedLine = `
	message_type {
	  name: "Line"
	  field { name: "order" number: 1 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".x.v1.Order" }
	  field { name: "sku" string: 2 }
	}`
	revisedKind  = `enum_type { name: "Kind" value { name: "KIND_A" number: 0 } }`
	revisedOther = `message_type { name: "Other" field { name: "one" string: 1 } }`
)

// revisedFile is a file of these parts.
func revisedFile(name string, imports []string, parts ...string) string {
	text := `name: "` + name + `" package: "x.v1" syntax: "proto3" `
	for _, path := range imports {
		text += `dependency: "` + path + `" `
	}
	return text + strings.Join(parts, "\n")
}

func revisionsOf(t *testing.T, texts ...string) map[string]string {
	t.Helper()
	return revisions(t, imageOf(t, texts...))
}

// withValidate adds what rules are written in.
func withValidate(image *Image) {
	for _, file := range []protoreflect.FileDescriptor{
		descriptorpb.File_google_protobuf_descriptor_proto, durationpb.File_google_protobuf_duration_proto,
		timestamppb.File_google_protobuf_timestamp_proto, fieldmaskpb.File_google_protobuf_field_mask_proto,
		validate.File_buf_validate_validate_proto,
	} {
		image.add(protodesc.ToFileDescriptorProto(file))
	}
}

// revisions returns the revisions of the types of an image.
func revisions(t *testing.T, image *Image) map[string]string {
	t.Helper()
	withValidate(image)
	set, err := image.Set()
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]string)
	for name, one := range set.types {
		revision := one.Revision()
		found[name] = FormatRevision(revision[:])
	}
	return found
}

// The revision of a type changes with what it depends on, and with nothing else.
func TestTypeRevision(t *testing.T) {
	const file = "x.proto"
	whole := revisedFile(file, nil, revisedOrder, revisedLine, revisedKind, revisedOther)
	with := func(old, replacement string) string { return strings.Replace(whole, old, replacement, 1) }
	before := revisionsOf(t, whole)
	if len(before) != 3 || before["x.v1.Order"] == before["x.v1.Line"] || before["x.v1.Order"] == before["x.v1.Other"] {
		t.Fatalf("the revisions are %v", before)
	}
	for name, test := range map[string]struct {
		files   []string
		changed string // The types whose revision changes.
	}{
		"nothing":              {[]string{whole}, ""},
		"comments":             {[]string{whole + ` source_code_info { location { path: [4, 0] span: [1, 0, 1] leading_comments: "An order." } }`}, ""},
		"options of the file":  {[]string{whole + ` options { go_package: "x" java_package: "y" }`}, ""},
		"the order":            {[]string{revisedFile(file, nil, revisedOther, revisedLine, revisedOrder, revisedKind)}, ""},
		"other files":          {[]string{revisedFile("kind.proto", nil, revisedKind), revisedFile("y.proto", []string{"kind.proto"}, revisedLine, revisedOrder), revisedFile(file, nil, revisedOther)}, ""},
		"usual names in JSON":  {[]string{with(`name: "order_id"`, `name: "order_id" json_name: "orderId"`)}, ""},
		"another name in JSON": {[]string{with(`name: "order_id"`, `name: "order_id" json_name: "id"`)}, "Order Line"},
		"an unrelated type":    {[]string{whole + ` message_type { name: "More" }`}, ""},
		"a field of its own":   {[]string{with(`name: "one" string: 1`, `name: "two" string: 1`)}, "Other"},
		"a field of a part":    {[]string{with(`name: "sku" string: 2`, `name: "sku" string: 3`)}, "Order Line"},
		"a value of an enum":   {[]string{with(`value { name: "KIND_A" number: 0 }`, `value { name: "KIND_A" number: 0 } value { name: "KIND_B" number: 1 }`)}, "Order Line"},
		"a mark":               {[]string{with(`message_type { name: "Other"`, `message_type { options { deprecated: true } name: "Other"`)}, "Other"},
		"the syntax":           {[]string{with(`syntax: "proto3"`, `syntax: "proto2"`)}, "Order Line Other"},
		"a rule": {[]string{strings.Replace(with(`name: "one" string: 1`, `name: "one" string: 1 options { [buf.validate.field] { string { min_len: 1 } } }`),
			`syntax: "proto3"`, `syntax: "proto3" dependency: "buf/validate/validate.proto"`, 1)}, "Other"},
	} {
		t.Run(name, func(t *testing.T) {
			after, changed := revisionsOf(t, test.files...), ""
			for _, one := range []string{"Order", "Line", "Other"} {
				if after["x.v1."+one] != before["x.v1."+one] {
					changed += " " + one
				}
			}
			if strings.TrimSpace(changed) != test.changed {
				t.Errorf("changed are%s, want %q", changed, test.changed)
			}
		})
	}
}

// A rule that the schemas declare counts for the types that use it.
func TestTypeRevisionOfPredefinedRules(t *testing.T) {
	with := func(least string) map[string]string {
		image := imageOf(t, `name: "rules.proto" package: "x.v1" syntax: "proto2" dependency: "buf/validate/validate.proto"
			extension { name: "short" number: 50001 extendee: ".buf.validate.StringRules" label: LABEL_OPTIONAL type: TYPE_BOOL
			  options { [buf.validate.predefined] { cel { id: "short" expression: "this.size() < `+least+`" } } } }`,
			revisedFile("x.proto", []string{"buf/validate/validate.proto", "rules.proto"}, revisedOther,
				`message_type { name: "Ruled" field { name: "one" string: 1 options { [buf.validate.field] { string {} } } } }`))
		options := image.byName["x.proto"].GetMessageType()[1].GetField()[0].GetOptions()
		field, ok := proto.GetExtension(options, validate.E_Field).(*validate.FieldRules)
		if !ok {
			t.Fatal("no rules")
		}
		// The extension, as a program has it that doesn't know it.
		field.GetString().ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 50001, protowire.VarintType), 1))
		return revisions(t, image)
	}
	first, second := with("10"), with("20")
	if first["x.v1.Ruled"] == second["x.v1.Ruled"] || first["x.v1.Other"] != second["x.v1.Other"] {
		t.Errorf("with another rule of the schemas, %v became %v", first, second)
	}
}
