package compat_test

import (
	"slices"
	"strings"
	"testing"

	"example.com/tidings/server/internal/compat"
	"example.com/tidings/server/internal/compat/buftest"
	"example.com/tidings/server/internal/schema"
)

// build compiles a source of the package x.v1, or several files, each of which
// begins with a line `-- path --`.
func build(t *testing.T, source string) *schema.Image {
	t.Helper()
	sources := make(map[string]string)
	if !strings.HasPrefix(source, "-- ") {
		source = "-- x/v1/x.proto --\n" + source
	}
	for part := range strings.SplitSeq(strings.TrimPrefix(source, "-- "), "\n-- ") {
		path, text, _ := strings.Cut(part, " --\n")
		if !strings.Contains(text, "syntax ") && !strings.Contains(text, "edition ") {
			text = "syntax = \"proto3\"; " + text
		}
		if !strings.Contains(text, "package ") {
			text = strings.Replace(text, ";", "; package x.v1;", 1)
		}
		sources[path] = text
	}
	image, err := schema.ReadImage(buftest.Build(t, sources))
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// TestStoredEvents: a change passes if every event reads as before, and only
// then.
func TestStoredEvents(t *testing.T) {
	t.Parallel()
	c := checker(t)
	for _, test := range []struct {
		name, older, newer string
		want               []string // Each a rule and an element.
	}{
		// What no event holds.
		{"an import that fell away", `
			import "google/protobuf/any.proto"; import "google/protobuf/timestamp.proto";
			message E { google.protobuf.Timestamp t = 2; google.protobuf.Any a = 1; }`, `
			import "google/protobuf/timestamp.proto";
			message E { google.protobuf.Timestamp t = 2; }`,
			[]string{"FIELD_NO_DELETE x.v1.E"}},
		{"the import of an RPC that fell away", `
			import "google/protobuf/any.proto"; import "google/protobuf/timestamp.proto";
			message E { google.protobuf.Timestamp t = 2; }
			message F { google.protobuf.Any a = 1; }
			service S { rpc G(F) returns (F); }`, `
			import "google/protobuf/timestamp.proto";
			message E { google.protobuf.Timestamp t = 2; }`, nil},
		{"the import of a package that stays",
			"-- y/v1/b.proto --\npackage y.v1; message B {}\n-- y/v1/c.proto --\npackage y.v1; message C {}\n-- x/v1/x.proto --\nimport \"y/v1/b.proto\"; import \"y/v1/c.proto\"; message E { y.v1.B b = 1; }",
			"-- y/v1/b.proto --\npackage y.v1; message B {}\n-- y/v1/c.proto --\npackage y.v1; message C {}\n-- x/v1/x.proto --\nimport \"y/v1/b.proto\"; message E { y.v1.B b = 1; int32 n = 2; }", nil},
		{"an RPC streams", `message E {} message F {} service S { rpc G(E) returns (E) { option idempotency_level = NO_SIDE_EFFECTS; } }`,
			`message E {} message F {} service S { rpc G(E) returns (stream F); }`, nil},
		{"a service is gone", `message E {} service S { rpc G(E) returns (E); }`, `message E {}`, nil},
		{"what only an RPC takes", `message E { string s = 1; } message R { string s = 1; P p = 2; message P { int32 i = 1; } enum K { K_U = 0; K_A = 1; } K k = 3; } service S { rpc G(R) returns (R); }`,
			`message E { string s = 1; } message R { int32 s = 1; } service S { rpc G(R) returns (R); }`, nil},
		{"what an RPC and an event hold", `message E { R r = 1; } message R { string s = 1; } service S { rpc G(R) returns (R); }`,
			`message E { R r = 1; } message R { int32 s = 1; } service S { rpc G(R) returns (R); }`, []string{"FIELD_SAME_TYPE x.v1.R.s"}},
		{"a nested message and an enum that nothing holds", `message E { message N { string s = 1; } enum K { K_U = 0; } } enum L { L_U = 0; L_A = 1; }`,
			`message E { message O {} } enum L { L_U = 0; L_B = 2; }`, nil},
		{"a nested message that an Any may hold", `import "google/protobuf/any.proto"; message E { google.protobuf.Any a = 1; message N { string s = 1; } }`,
			`import "google/protobuf/any.proto"; message E { google.protobuf.Any a = 1; message N { int32 s = 1; } }`, []string{"FIELD_SAME_TYPE x.v1.E.N.s"}},
		{"a message in one that nothing holds", `message E { R.P p = 1; } message R { string s = 1; map<string, string> m = 2; message P { int32 i = 1; } } service S { rpc G(R) returns (R); }`,
			`message E { R.P p = 1; } message R { bool s = 1; int32 t = 7; message P { string i = 1; } } service S { rpc G(R) returns (R); }`, []string{"FIELD_SAME_TYPE x.v1.R.P.i"}},

		// The same in other words.
		{"a oneof has another name", `message E { oneof a { string s = 1; int32 i = 2; } }`, `message E { oneof b { string s = 1; int32 i = 2; bool c = 3; } }`, nil},
		{"a field in a new oneof", `message E { string s = 1; }`, `message E { oneof a { string s = 1; int32 i = 2; } }`, nil},
		{"presence", `message E { string s = 1; }`, `message E { optional string s = 1; }`, nil},
		{"an alias after a name", `message E { K k = 1; } enum K { K_U = 0; K_A = 1; }`, `message E { K k = 1; } enum K { option allow_alias = true; K_U = 0; K_A = 1; K_B = 1; }`, nil},
		{"an enum in another place", `message E { K k = 1; enum K { K_U = 0; K_A = 1; } }`, `message E { K k = 1; } enum K { K_U = 0; K_A = 1; K_B = 2; }`, nil},
		{"an edition", `syntax = "proto2"; message E { required string s = 1; optional G g = 2; repeated int32 n = 3; optional K k = 4 [default = K_A]; optional group H = 5 { optional int32 i = 1; } extensions 100 to 200; } message G {} enum K { K_U = 0; K_A = 1; } extend E { optional string more = 100; }`,
			`edition = "2023"; option features.utf8_validation = NONE; option features.enum_type = CLOSED; option features.repeated_field_encoding = EXPANDED; option features.json_format = LEGACY_BEST_EFFORT;
			message E { string s = 1 [features.field_presence = LEGACY_REQUIRED]; G g = 2; repeated int32 n = 3; K k = 4 [default = K_A]; H h = 5 [features.message_encoding = DELIMITED]; message H { int32 i = 1; } extensions 100 to 200; } message G {} enum K { K_U = 0; K_A = 1; } extend E { string more = 100; }`, nil},
		{"an edition of proto3", `message E { string s = 1; optional string t = 2; repeated int32 n = 3; K k = 4; } enum K { K_U = 0; }`,
			`edition = "2023"; option features.field_presence = IMPLICIT; message E { string s = 1; string t = 2 [features.field_presence = EXPLICIT]; repeated int32 n = 3; K k = 4; } enum K { K_U = 0; }`, nil},
		{"another file", "-- x/v1/a.proto --\nmessage E { string s = 1; }", "-- x/v1/b.proto --\nmessage E { string s = 1; int32 i = 2; }", nil},
		{"a reservation that is taken back", `message E { reserved 5; reserved "old"; }`, `message E {}`, nil},
		{"a message's option", "import \"google/protobuf/descriptor.proto\"; message E {} extend google.protobuf.MessageOptions { string owner = 50000; }", `message E {}`, nil},

		// What reads differently.
		{"signed", `message E { uint32 a = 1; fixed64 b = 2; }`, `message E { int32 a = 1; sfixed64 b = 2; }`, []string{"FIELD_SAME_TYPE x.v1.E.a", "FIELD_SAME_TYPE x.v1.E.b"}},
		{"unsigned", `message E { int32 a = 1; int64 b = 2; sfixed32 c = 3; }`, `message E { uint32 a = 1; uint64 b = 2; fixed32 c = 3; }`,
			[]string{"FIELD_SAME_TYPE x.v1.E.a", "FIELD_SAME_TYPE x.v1.E.b", "FIELD_SAME_TYPE x.v1.E.c"}},
		{"no presence", `message E { optional string s = 1; }`, `message E { string s = 1; }`, []string{"FIELD_SAME_CARDINALITY x.v1.E.s"}},
		{"out of a oneof", `message E { oneof a { string s = 1; int32 i = 2; } }`, `message E { oneof a { string s = 1; } optional int32 i = 2; }`, []string{"FIELD_SAME_ONEOF x.v1.E.i"}},
		{"into one oneof", `message E { optional string s = 1; optional int32 i = 2; }`, `message E { oneof a { string s = 1; int32 i = 2; } }`,
			[]string{"FIELD_SAME_ONEOF x.v1.E.i", "FIELD_SAME_ONEOF x.v1.E.s"}},
		{"a field is gone, and reserved", `message E { string s = 1; string t = 2; }`, `message E { string s = 1; reserved 2; reserved "t"; }`, []string{"FIELD_NO_DELETE x.v1.E"}},
		{"a value is gone, and reserved", `message E { K k = 1; } enum K { K_U = 0; K_A = 1; }`, `message E { K k = 1; } enum K { K_U = 0; reserved 1; reserved "K_A"; }`, []string{"ENUM_VALUE_NO_DELETE x.v1.K"}},
		{"an alias before a name", `message E { K k = 1; } enum K { K_U = 0; K_A = 1; }`, `message E { K k = 1; } enum K { option allow_alias = true; K_U = 0; K_B = 1; K_A = 1; }`, []string{"TIDINGS_ENUM_VALUE_SAME_JSON_NAME x.v1.K_B"}},
		{"aliases in another order", `message E { K k = 1; } enum K { option allow_alias = true; K_U = 0; K_A = 1; K_B = 1; }`, `message E { K k = 1; } enum K { option allow_alias = true; K_U = 0; K_B = 1; K_A = 1; }`, []string{"TIDINGS_ENUM_VALUE_SAME_JSON_NAME x.v1.K_B"}},
		{"an alias is gone", `message E { K k = 1; } enum K { option allow_alias = true; K_U = 0; K_A = 1; K_B = 1; }`, `message E { K k = 1; } enum K { K_U = 0; K_A = 1; }`, []string{"ENUM_VALUE_SAME_NAME x.v1.K_A"}},
		{"an enum in another place, with an alias", `message E { K k = 1; enum K { K_U = 0; K_A = 1; } }`, `message E { K k = 1; } enum K { option allow_alias = true; K_U = 0; K_B = 1; K_A = 1; }`, []string{"FIELD_SAME_TYPE x.v1.E.k"}},
		{"an extension is gone", `edition = "2023"; message E { extensions 100 to 200; } extend E { string more = 100; }`, `edition = "2023"; message E { extensions 100 to 200; }`, []string{"EXTENSION_NO_DELETE "}},
		{"an extension has another type", `edition = "2023"; message E { extensions 100 to 200; } extend E { string more = 100; }`, `edition = "2023"; message E { extensions 100 to 200; } extend E { int32 more = 100; }`, []string{"FIELD_SAME_TYPE x.v1.more"}},
		{"an extension has another name", `edition = "2023"; message E { extensions 100 to 200; } extend E { string more = 100; }`, `edition = "2023"; message E { extensions 100 to 200; } extend E { string other = 100; }`, []string{"EXTENSION_NO_DELETE ", "FIELD_SAME_NAME x.v1.other"}},
		{"texts are checked", `edition = "2023"; message E { string s = 1 [features.utf8_validation = NONE]; }`, `edition = "2023"; message E { string s = 1; }`, []string{"FIELD_SAME_UTF8_VALIDATION x.v1.E.s"}},
		{"an enum is closed", `edition = "2023"; message E { K k = 1; } enum K { K_U = 0; }`, `edition = "2023"; message E { K k = 1; } enum K { option features.enum_type = CLOSED; K_U = 0; }`, []string{"ENUM_SAME_TYPE x.v1.K"}},
		{"a default", `syntax = "proto2"; message E { optional int32 i = 1 [default = 4]; }`, `syntax = "proto2"; message E { optional int32 i = 1 [default = 5]; }`, []string{"FIELD_SAME_DEFAULT x.v1.E.i"}},
		{"required", `syntax = "proto2"; message E { optional int32 i = 1; }`, `syntax = "proto2"; message E { required int32 i = 1; }`,
			[]string{"FIELD_SAME_CARDINALITY x.v1.E.i", "MESSAGE_SAME_REQUIRED_FIELDS x.v1.E.i"}},
		{"a required field more", `syntax = "proto2"; message E { optional int32 i = 1; }`, `syntax = "proto2"; message E { optional int32 i = 1; required int32 j = 2; }`, []string{"MESSAGE_SAME_REQUIRED_FIELDS x.v1.E.j"}},
		{"a list", `message E { string s = 1; }`, `message E { repeated string s = 1; }`, []string{"FIELD_SAME_CARDINALITY x.v1.E.s"}},
		{"a map", `message E { map<string, int32> m = 1; }`, `message E { map<string, string> m = 1; }`, []string{"FIELD_SAME_TYPE x.v1.E.MEntry.value"}},
		{"another message", `message E { A a = 1; } message A {} message B {}`, `message E { B a = 1; } message A {} message B {}`, []string{"FIELD_SAME_TYPE x.v1.E.a"}},
		{"a number that was reserved", `message E { reserved 5; } enum K { K_U = 0; reserved 2; } message F { K k = 1; }`, `message E { string s = 5; } enum K { K_U = 0; K_A = 2; } message F { K k = 1; }`,
			[]string{"RESERVED_ENUM_NO_DELETE x.v1.K_A", "RESERVED_MESSAGE_NO_DELETE x.v1.E.s"}},
		{"a message is gone", `message E {} message F {}`, `message F {}`, []string{"MESSAGE_NO_DELETE "}},
		{"a file is gone", "-- x/v1/a.proto --\nmessage E { string s = 1; }\n-- x/v1/b.proto --\nmessage F {}", "-- x/v1/b.proto --\nmessage F {}", []string{"MESSAGE_NO_DELETE "}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			violations, err := c.Compare(t.Context(), build(t, test.newer), build(t, test.older), map[string]bool{"x.v1": true}, nil)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, v := range violations {
				got = append(got, v.Rule+" "+v.Element)
				if v.Message == "" || v.Element != "" && (v.File != "x/v1/x.proto" || v.Line == 0) {
					t.Errorf("%+v", v)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q: %+v", got, test.want, violations)
			}
		})
	}
}

// What the events of another package hold is compared, also where the older
// schemas are only a part.
func TestReachedFromElsewhere(t *testing.T) {
	t.Parallel()
	c := checker(t)
	older := build(t, `message R { string s = 1; } service S { rpc G(R) returns (R); }`)
	newer := build(t, `message R { int32 s = 1; } service S { rpc G(R) returns (R); }`)
	for _, test := range []struct {
		reached compat.Reach
		want    int
	}{{nil, 0}, {compat.Reach{"x.v1.R": true}, 1}} {
		violations, err := c.Compare(t.Context(), newer, older, map[string]bool{"x.v1": true}, test.reached)
		if err != nil || len(violations) != test.want {
			t.Errorf("%v: %v, %v", test.reached, violations, err)
		}
	}
}
