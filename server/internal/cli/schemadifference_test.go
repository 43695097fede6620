package cli

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/descriptorpb"
)

func TestDifferences(t *testing.T) {
	const head = `name: "things/a.proto" package: "things.v1" syntax: "proto3" `
	message := func(inside string) string { return head + `message_type { name: "Noted" ` + inside + ` }` }
	const text = `field { name: "text" json_name: "text" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL } `
	for name, test := range map[string]struct {
		before, after string
		want          []string
	}{
		"nothing": {message(text), message(text), nil},
		"comments and imports": {
			message(text), message(text) + `dependency: "x.proto" source_code_info { location { path: 4 span: [1, 2, 3] } }`, nil,
		},
		"event added, without what is in it": {
			head, message(text + `options { [tidings.options.v1.event] { topic: "things" } } enum_type { name: "E" value { name: "E_X" number: 0 } }`),
			[]string{"+ event things.v1.Noted: topic things"},
		},
		"message removed": {message(text), head, []string{"- message things.v1.Noted"}},
		"message in another file": {
			message(text), `name: "things/b.proto" package: "things.v1" syntax: "proto3" message_type { name: "Noted" ` + text + `}`,
			[]string{"~ message things.v1.Noted: file things/a.proto → things/b.proto"},
		},
		"field added, optional": {
			message(text), message(text + `field { name: "size" json_name: "size" number: 2 type: TYPE_INT64 label: LABEL_OPTIONAL proto3_optional: true oneof_index: 0 } oneof_decl { name: "_size" }`),
			[]string{"+ field things.v1.Noted.size: optional int64 = 2"},
		},
		"field removed and reserved": {
			message(text), message(`reserved_range { start: 1 end: 2 } reserved_range { start: 5 end: 10 } reserved_name: "text"`),
			[]string{"~ message things.v1.Noted: reserved added: 1, 5 to 9, text", "- field things.v1.Noted.text: string = 1"},
		},
		"field renamed": {
			message(text), message(`field { name: "body" json_name: "body" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }`),
			[]string{"~ field things.v1.Noted.body: JSON name text → body", "~ field things.v1.Noted.body: name text → body"},
		},
		"field of another number": {
			message(text), message(`field { name: "text" json_name: "text" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL }`),
			[]string{"+ field things.v1.Noted.text: string = 2", "- field things.v1.Noted.text: string = 1"},
		},
		"type of a field": {
			message(text), message(`field { name: "text" json_name: "text" number: 1 type: TYPE_MESSAGE type_name: ".things.v1.Text" label: LABEL_REPEATED }`),
			[]string{"~ field things.v1.Noted.text: type string → repeated things.v1.Text"},
		},
		"map": {
			message(text), message(`field { name: "text" json_name: "text" number: 1 type: TYPE_MESSAGE type_name: ".things.v1.Noted.TextEntry" label: LABEL_REPEATED }
				nested_type { name: "TextEntry" options { map_entry: true }
					field { name: "key" json_name: "key" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
					field { name: "value" json_name: "value" number: 2 type: TYPE_ENUM type_name: ".things.v1.E" label: LABEL_OPTIONAL } }`),
			[]string{"~ field things.v1.Noted.text: type string → map<string, things.v1.E>"},
		},
		"rules of a field": {
			message(`field { name: "text" number: 1 type: TYPE_STRING options { [buf.validate.field] { string { max_len: 9 } } } }`),
			message(`field { name: "text" number: 1 type: TYPE_STRING options { deprecated: true [buf.validate.field] { string { max_len: 8 } } } }`),
			[]string{
				"~ field things.v1.Noted.text: deprecated added: true",
				`~ field things.v1.Noted.text: rules {"string":{"maxLen":"9"}} → {"string":{"maxLen":"8"}}`,
			},
		},
		"options of a message": {
			message(`options { [tidings.options.v1.event] { topic: "a" key: "text" } }`),
			message(`options { [tidings.options.v1.event] { topic: "b" } [buf.validate.message] { cel { id: "x" expression: "true" } } }`),
			[]string{
				"~ event things.v1.Noted: key removed: text",
				`~ event things.v1.Noted: rules added: {"cel":[{"id":"x","expression":"true"}]}`,
				"~ event things.v1.Noted: topic a → b",
			},
		},
		"oneof": {
			message(text), message(`field { name: "text" json_name: "text" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL oneof_index: 0 } oneof_decl { name: "body" }`),
			[]string{"+ oneof things.v1.Noted.body", "~ field things.v1.Noted.text: oneof added: body"},
		},
		"enum": {
			head + `enum_type { name: "E" value { name: "E_A" number: 0 } value { name: "E_B" number: 1 } value { name: "E_C" number: 2 } }`,
			head + `enum_type { name: "E" options { allow_alias: true } value { name: "E_A" number: 0 } value { name: "E_ALIAS" number: 0 } value { name: "E_Z" number: 1 } value { name: "E_D" number: 3 } reserved_range { start: 2 end: 2 } }`,
			[]string{
				"~ enum things.v1.E: allow_alias added: true",
				"~ enum things.v1.E: reserved added: 2",
				"+ value things.v1.E.E_ALIAS: = 0",
				"- value things.v1.E.E_C: = 2",
				"+ value things.v1.E.E_D: = 3",
				"~ value things.v1.E.E_Z: name E_B → E_Z",
			},
		},
		"extension": {
			head, head + `extension { name: "owner" number: 50001 extendee: ".google.protobuf.MessageOptions" type: TYPE_STRING label: LABEL_OPTIONAL }`,
			[]string{"+ extension things.v1.owner: string = 50001"},
		},
		"file": {
			head, `name: "things/a.proto" package: "things.v1" syntax: "editions" edition: EDITION_2023 options { go_package: "x" features { field_presence: IMPLICIT } }`,
			[]string{
				"~ file things/a.proto: edition added: EDITION_2023",
				`~ file things/a.proto: features added: {"fieldPresence":"IMPLICIT"}`,
				"~ file things/a.proto: go_package added: x",
				"~ file things/a.proto: syntax proto3 → editions",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			one := func(text string) []*descriptorpb.FileDescriptorProto {
				return []*descriptorpb.FileDescriptorProto{parseFile(t, text)}
			}
			var got []string
			for _, d := range differences(elementsOf(one(test.before)), elementsOf(one(test.after))) {
				got = append(got, d.String())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
