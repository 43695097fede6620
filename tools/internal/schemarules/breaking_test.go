package schemarules

import (
	"strings"
	"testing"
)

func TestRulesOfMessages(t *testing.T) {
	testCases(t, []ruleCase{
		{
			name: "an expression is added",
			was:  "message M { string a = 1; }",
			is: `message M {
  option (buf.validate.message).cel = {id: "m" expression: "this.a != ''"}; //! TIDINGS_VALIDATION_COMPARABLE
  string a = 1;
}`,
		},
		{
			name: "an expression is changed",
			was:  `message M { option (buf.validate.message).cel_expression = "this.a != ''"; string a = 1; }`,
			is: `message M {
  option (buf.validate.message).cel_expression = "this.a != 'x'"; //! TIDINGS_VALIDATION_COMPARABLE
  string a = 1;
}`,
		},
		{
			name: "the second of two expressions is changed",
			was: `message M {
  option (buf.validate.message).cel = {id: "a" expression: "this.a != ''"};
  option (buf.validate.message).cel = {id: "b" expression: "this.a != 'x'"};
  string a = 1;
}`,
			is: `message M {
  option (buf.validate.message).cel = {id: "a" expression: "this.a != ''"};
  option (buf.validate.message).cel = {id: "b" expression: "this.a != 'y'"}; //! TIDINGS_VALIDATION_COMPARABLE
  string a = 1;
}`,
		},
		{
			name: "an expression is removed, another said anew",
			was: `message M {
  option (buf.validate.message).cel = {id: "a" expression: "this.a != ''"};
  option (buf.validate.message).cel = {id: "b" expression: "this.a != 'x'"};
  string a = 1;
}`,
			is: `message M { option (buf.validate.message).cel = {id: "c" message: "m" expression: "this.a != 'x'"}; string a = 1; }`,
		},
		{
			name: "fields exclude one another",
			was:  "message M { string a = 1; string b = 2; }",
			is: `message M {
  option (buf.validate.message).oneof = {fields: ["a", "b"]}; //! TIDINGS_VALIDATION_NO_TIGHTEN
  string a = 1;
  string b = 2;
}`,
		},
		{
			name: "one of them has to be set",
			was:  `message M { option (buf.validate.message).oneof = {fields: ["a", "b"]}; string a = 1; string b = 2; }`,
			is: `message M {
  option (buf.validate.message).oneof = {fields: ["a", "b"] required: true}; //! TIDINGS_VALIDATION_NO_TIGHTEN
  string a = 1;
  string b = 2;
}`,
		},
		{
			name: "one more excludes them",
			was:  `message M { option (buf.validate.message).oneof = {fields: ["a", "b"]}; string a = 1; string b = 2; string c = 3; }`,
			is: `message M {
  option (buf.validate.message).oneof = {fields: ["a", "b", "c"]}; //! TIDINGS_VALIDATION_NO_TIGHTEN
  string a = 1;
  string b = 2;
  string c = 3;
}`,
		},
		{
			name: "a new field joins those that exclude one another",
			was:  `message M { option (buf.validate.message).oneof = {fields: ["a", "b"] required: true}; string a = 1; string b = 2; }`,
			is: `message M {
  option (buf.validate.message).oneof = {fields: ["a", "b", "c"] required: true};
  string a = 1;
  string b = 2;
  string c = 3;
}`,
		},
		{
			name: "one field of several is required, and then the field itself",
			was:  `message M { option (buf.validate.message).oneof = {fields: ["a"] required: true}; string a = 1; string b = 2 [(buf.validate.field).required = true]; }`,
			is: `message M {
  option (buf.validate.message).oneof = {fields: ["b"] required: true};
  string a = 1 [(buf.validate.field).required = true];
  string b = 2;
}`,
		},
		{
			name: "an expression says less than before",
			was:  `message M { option (buf.validate.message).cel_expression = "this.a != '' && this.b != ''"; string a = 1; string b = 2; }`,
			is: `message M {
  option (buf.validate.message).cel_expression = "this.a != ''  ||  this.b == 'x'";
  string a = 1;
  string b = 2;
}`,
		},
		{
			name: "they exclude one another no more",
			was:  `message M { option (buf.validate.message).oneof = {fields: ["a", "b"] required: true}; string a = 1; string b = 2; }`,
			is:   "message M { string a = 1; string b = 2; }",
		},
		{
			name: "without the oneof the rules of a field count for its zero value",
			was: `message M {
  option (buf.validate.message).oneof = {fields: ["a", "b"]};
  string a = 1 [(buf.validate.field).string.min_len = 2];
  string b = 2 [(buf.validate.field).string.max_len = 2];
}`,
			is: `message M {
  string a = 1 [(buf.validate.field).string.min_len = 2]; //! TIDINGS_VALIDATION_NO_TIGHTEN
  string b = 2 [(buf.validate.field).string.max_len = 2];
}`,
		},
		{
			name: "a oneof is required",
			was:  "message M { oneof x { string a = 1; string b = 2; } }",
			is: `message M {
  oneof x {
    option (buf.validate.oneof).required = true; //! TIDINGS_VALIDATION_NO_TIGHTEN
    string a = 1;
    string b = 2;
  }
}`,
		},
		{
			name: "a new oneof is required",
			was:  "message M { string c = 3; }",
			is: `message M {
  string c = 3;
  oneof x {
    option (buf.validate.oneof).required = true; //! TIDINGS_VALIDATION_NO_TIGHTEN
    string a = 1;
  }
}`,
		},
		{
			name: "a required oneof has one more, or is required no more",
			was: `message M {
  oneof x { option (buf.validate.oneof).required = true; string a = 1; }
  oneof y { option (buf.validate.oneof).required = true; string c = 3; }
}`,
			is: `message M {
  oneof x { option (buf.validate.oneof).required = true; string a = 1; string b = 2; }
  oneof y { string c = 3; }
}`,
		},
		{
			name: "without presence the rules of a field count for its zero value",
			was: `message M {
  optional string a = 1 [(buf.validate.field).string.min_len = 2];
  optional string b = 2 [(buf.validate.field).string.max_len = 2];
}`,
			is: `message M {
  string a = 1 [(buf.validate.field).string.min_len = 2]; //! TIDINGS_VALIDATION_NO_TIGHTEN
  string b = 2 [(buf.validate.field).string.max_len = 2];
}`,
		},
		{
			name: "a field of a nested message",
			was:  "message M { message N { string a = 1 [(buf.validate.field).string.max_len = 2]; } }",
			is: `message M {
  message N {
    string a = 1 [(buf.validate.field).string.max_len = 1]; //! TIDINGS_VALIDATION_NO_TIGHTEN
  }
}`,
		},
		{
			name: "another type of number, which Buf's own rules may allow",
			was: `message M {
  uint32 a = 1 [(buf.validate.field).uint32.lte = 9];
  uint32 b = 2 [(buf.validate.field).uint32.lte = 9];
  int32 c = 3 [(buf.validate.field).int32.gte = -1];
  string d = 4 [(buf.validate.field).string.len = 4];
}`,
			is: `message M {
  uint64 a = 1 [(buf.validate.field).uint64.lte = 9];
  uint64 b = 2 [(buf.validate.field).uint64.lte = 8]; //! TIDINGS_VALIDATION_NO_TIGHTEN
  uint32 c = 3 [(buf.validate.field).uint32.gte = 0]; //! TIDINGS_VALIDATION_NO_TIGHTEN
  bytes d = 4 [(buf.validate.field).bytes.len = 3];
}`,
		},
		{
			name: "the line of the rule among several",
			was:  "message M { string a = 1 [(buf.validate.field).string = {min_len: 1 max_len: 9}]; }",
			is: `message M {
  string a = 1 [
    (buf.validate.field).string = {
      min_len: 1
      max_len: 8 //! TIDINGS_VALIDATION_NO_TIGHTEN
    }
  ];
}`,
		},
		{
			name: "two rules of one field",
			was:  "message M { string a = 1; }",
			is: `message M {
  string a = 1 [
    (buf.validate.field).required = true, //! TIDINGS_VALIDATION_NO_TIGHTEN
    (buf.validate.field).string.max_len = 2 //! TIDINGS_VALIDATION_NO_TIGHTEN
  ];
}`,
		},
	})
}

// custom declares a rule of an organisation.
const custom = `extend buf.validate.StringRules {
  bool no_blanks = 81234 [(buf.validate.predefined).cel = {id: "no_blanks" expression: "!rule || !this.contains(' ')"}];
  bool no_tabs = 81235 [(buf.validate.predefined).cel = {id: "no_tabs" expression: "!rule || !this.contains('\t')"}];
  bool no_empties = 81236 [(buf.validate.predefined).cel = {id: "no_empties" expression: "!rule || this != ''"}];
}
`

func TestCustomRules(t *testing.T) {
	testCases(t, []ruleCase{
		{
			name: "it is added to a field",
			was:  custom + "message M { string a = 1; }",
			is: custom + `message M {
  string a = 1 [(buf.validate.field).string.(no_blanks) = true]; //! TIDINGS_VALIDATION_COMPARABLE
}`,
		},
		{
			name: "it is changed for a field",
			was:  custom + "message M { string a = 1 [(buf.validate.field).string.(no_blanks) = false]; }",
			is: custom + `message M {
  string a = 1 [(buf.validate.field).string.(no_blanks) = true]; //! TIDINGS_VALIDATION_COMPARABLE
}`,
		},
		{
			name: "it stays beside a wider rule, and another goes",
			was: custom + `message M {
  string a = 1 [(buf.validate.field).string = {max_len: 8 [shop.orders.v1.no_blanks]: true [shop.orders.v1.no_tabs]: true}];
}`,
			is: custom + `message M {
  string a = 1 [(buf.validate.field).string = {max_len: 9 [shop.orders.v1.no_blanks]: true}];
}`,
		},
		{
			name: "a new field has it",
			was:  custom + "message M {}",
			is: custom + `message M {
  string a = 1 [(buf.validate.field).string.(no_blanks) = true];
  string b = 2 [features.field_presence = IMPLICIT, (buf.validate.field).string.(no_blanks) = true];
  string c = 3 [features.field_presence = IMPLICIT, (buf.validate.field).string.(no_empties) = true]; //! TIDINGS_ADDED_FIELD_OPTIONAL
}`,
		},
		{
			name: "its expression is changed",
			was: `extend buf.validate.StringRules {
  bool no_blanks = 81234 [(buf.validate.predefined).cel = {id: "no_blanks" expression: "!rule || !this.contains(' ')"}];
}`,
			is: `extend buf.validate.StringRules {
  bool no_blanks = 81234 [(buf.validate.predefined).cel = { //! TIDINGS_VALIDATION_COMPARABLE
    id: "no_blanks"
    expression: "!rule || !this.contains('  ')"
  }];
}`,
		},
	})
}

func TestAddedFields(t *testing.T) {
	testCases(t, []ruleCase{
		{
			name: "fields without which the message is refused",
			was:  "message M {}",
			is: `message M {
  string a = 1 [(buf.validate.field).required = true]; //! TIDINGS_ADDED_FIELD_OPTIONAL
  google.protobuf.Timestamp b = 2 [(buf.validate.field).required = true]; //! TIDINGS_ADDED_FIELD_OPTIONAL
  repeated string c = 3 [(buf.validate.field).repeated.min_items = 1]; //! TIDINGS_ADDED_FIELD_OPTIONAL
  map<string, string> d = 4 [(buf.validate.field).map.min_pairs = 1]; //! TIDINGS_ADDED_FIELD_OPTIONAL
  K e = 5 [(buf.validate.field).enum.not_in = 0]; //! TIDINGS_ADDED_FIELD_OPTIONAL
  string f = 6 [(buf.validate.field).cel_expression = "this != ''"]; //! TIDINGS_ADDED_FIELD_OPTIONAL
  optional int32 g = 7 [(buf.validate.field).required = true]; //! TIDINGS_ADDED_FIELD_OPTIONAL
}
enum K { K_UNSPECIFIED = 0; }`,
		},
		{
			name: "fields without which it is valid",
			was:  "message M { oneof x { string z = 9; } }",
			is: `message M {
  oneof x { string z = 9; string a = 1 [(buf.validate.field).string.min_len = 1]; }
  optional string b = 2 [(buf.validate.field).string.min_len = 1];
  google.protobuf.Timestamp c = 3 [(buf.validate.field).timestamp.gt = {seconds: 1}];
  repeated string d = 4 [(buf.validate.field).repeated = {max_items: 3 items: {string: {min_len: 1}}}];
  string e = 5 [(buf.validate.field) = {string: {min_len: 1} ignore: IGNORE_IF_ZERO_VALUE}];
  string f = 6 [(buf.validate.field) = {required: true ignore: IGNORE_ALWAYS}];
  int32 g = 7 [(buf.validate.field).int32.gte = 0];
}`,
		},
		{
			name: "a new message may ask for everything",
			was:  "message M {}",
			is:   "message M {} message N { string a = 1 [(buf.validate.field).required = true]; }",
		},
	})
}

func TestChangesOfEvents(t *testing.T) {
	testCases(t, []ruleCase{
		{
			name: "a key is added, a topic is changed",
			was: `message A { option (tidings.options.v1.event) = {topic: "a"}; string id = 1; }
message B { option (tidings.options.v1.event).topic = "b"; }`,
			is: `message A {
  option (tidings.options.v1.event) = {
    topic: "a"
    key: "id" //! TIDINGS_EVENT_SAME_KEY
  };
  string id = 1;
}
message B {
  option (tidings.options.v1.event).topic = "c"; //! TIDINGS_EVENT_SAME_TOPIC
}`,
		},
		{
			name: "a key is removed",
			was:  `message A { option (tidings.options.v1.event) = {topic: "a" key: "id"}; string id = 1; }`,
			is: `message A {
  option (tidings.options.v1.event) = {topic: "a"}; //! TIDINGS_EVENT_SAME_KEY
  string id = 1;
}`,
		},
		{
			name: "the option goes",
			was:  `message A { option (tidings.options.v1.event) = {topic: "a" key: "id"}; string id = 1; }`,
			is: `message A { //! TIDINGS_EVENT_OPTION_NO_DELETE
  string id = 1;
}`,
		},
		{
			name: "a message becomes an event",
			was:  "message A { string id = 1; }",
			is:   `message A { option (tidings.options.v1.event) = {topic: "a" key: "id"}; string id = 1; }`,
		},
	})
}

func TestNamesOfEnumValues(t *testing.T) {
	testCases(t, []ruleCase{
		{
			name: "an alias is put before a name",
			was:  "enum K { K_UNSPECIFIED = 0; K_A = 1; }",
			is: `enum K {
  option allow_alias = true;
  K_UNSPECIFIED = 0;
  K_B = 1; //! TIDINGS_ENUM_VALUE_SAME_JSON_NAME
  K_A = 1;
}`,
		},
		{
			name: "aliases change places",
			was:  "enum K { option allow_alias = true; K_UNSPECIFIED = 0; K_A = 1; K_B = 1; K_C = 1; }",
			is: `message M { enum N { N_UNSPECIFIED = 0; } }
enum K {
  option allow_alias = true;
  K_UNSPECIFIED = 0;
  K_C = 1; //! TIDINGS_ENUM_VALUE_SAME_JSON_NAME
  K_A = 1;
  K_B = 1;
}`,
		},
		{
			name: "an alias comes after, others change places, values do",
			was:  "enum K { option allow_alias = true; K_UNSPECIFIED = 0; K_A = 1; K_B = 1; K_C = 1; K_D = 2; }",
			is:   "enum K { option allow_alias = true; K_UNSPECIFIED = 0; K_D = 2; K_A = 1; K_C = 1; K_B = 1; K_E = 1; }",
		},
		{
			name: "names that Buf's own rules miss",
			was:  "enum K { K_UNSPECIFIED = 0; K_A = 1; K_B = 2; }",
			is:   "enum K { K_UNSPECIFIED = 0; K_C = 1; K_D = 2; }",
		},
	})
}

func TestDeprecationsStay(t *testing.T) {
	testCases(t, []ruleCase{
		{
			name: "everything that can be deprecated",
			was: `// Deprecated: no replacement, removed in v2.
package shop.orders.v1;
option deprecated = true;
// Deprecated: no replacement, removed in v2.
message M {
  option deprecated = true;
  // Deprecated: no replacement, removed in v2.
  string a = 1 [deprecated = true];
}
// Deprecated: no replacement, removed in v2.
enum E {
  option deprecated = true;
  // Deprecated: no replacement, removed in v2.
  E_UNSPECIFIED = 0 [deprecated = true];
}
// Deprecated: no replacement, removed in v2.
service S {
  option deprecated = true;
  // Deprecated: no replacement, removed in v2.
  rpc R(M) returns (M) { option deprecated = true; }
}`,
			is: `message M { //! TIDINGS_DEPRECATION_NO_DELETE
  string a = 1; //! TIDINGS_DEPRECATION_NO_DELETE
}
enum E { //! TIDINGS_DEPRECATION_NO_DELETE
  E_UNSPECIFIED = 0; //! TIDINGS_DEPRECATION_NO_DELETE
}
service S { //! TIDINGS_DEPRECATION_NO_DELETE
  rpc R(M) returns (M) {
    option deprecated = false; //! TIDINGS_DEPRECATION_NO_DELETE
  }
}`,
			// The file as a whole stands in its first line.
			gone: []string{"1: TIDINGS_DEPRECATION_NO_DELETE"},
		},
		{
			name: "the whole of it is deprecated instead",
			was: `message M {
  option deprecated = true;
  string a = 1 [deprecated = true];
}
message N { string a = 1 [deprecated = true]; }`,
			is: `// Deprecated: no replacement.
package shop.orders.v1;
option deprecated = true;
message M { string a = 1; }
// Deprecated: use M.
message N {
  option deprecated = true;
  string a = 1;
}`,
		},
		{
			name: "what is new",
			was:  "message M { string a = 1; }",
			is: `message M {
  // Deprecated: use b, removed in v2.
  string a = 1 [deprecated = true];
  string b = 2;
}`,
		},
	})
}

func TestStablePackagesStay(t *testing.T) {
	for name, stable := range map[string]bool{
		"shop.orders.v1":        true,
		"shop.orders.v12":       true,
		"shop.orders":           true,
		"shop.beta.v1":          true,
		"shop.orders.v1beta1":   false,
		"shop.orders.v2alpha12": false,
		"shop.orders.v1p1beta1": false,
		"shop.orders.v2p3alpha": false,
		"shop.orders.v1test":    false,
		"shop.orders.v1testnew": false,
		"shop.orders.v0beta1":   true,
		"shop.orders.v1p1":      true,
		"shop.orders.v1beta01":  true,
		"shop.orders.v1gamma1":  true,
	} {
		t.Run(name, func(t *testing.T) {
			c := ruleCase{was: "package " + name + ";", is: "package shop.successor.v1;"}
			if stable { // The file is there still, with another package.
				c.gone = []string{"2: TIDINGS_STABLE_PACKAGE_NO_DELETE"}
			}
			c.test(t)
		})
	}
}

// TestPackageIsReportedOnce has a package of two files, one of which moves.
func TestPackageIsReportedOnce(t *testing.T) {
	file := func(name string) string { return "syntax = \"proto3\"; package " + name + ";" }
	was := schemaFiles{"a.proto": file("gone.v1"), "b.proto": file("gone.v1"), "c.proto": file("left.v1"), "d.proto": file("left.v1")}
	is := schemaFiles{"a.proto": file("left.v1")}
	found := run(t, was, is)
	if len(found) != 1 || found[0].rule != "TIDINGS_STABLE_PACKAGE_NO_DELETE" || found[0].file != "a.proto" ||
		!strings.Contains(found[0].message, `"gone.v1" is gone, which was in a.proto, b.proto.`) {
		t.Errorf("found %v, want one finding", found)
	}
}

// TestFilesWithoutPackage: Buf itself says that such a file is gone.
func TestFilesWithoutPackage(t *testing.T) {
	was := schemaFiles{"a.proto": `syntax = "proto3"; message A {}`}
	is := schemaFiles{"b.proto": `syntax = "proto3"; package b.v1; message B {}`}
	if found := run(t, was, is); len(found) > 0 {
		t.Errorf("found %v, want nothing", found)
	}
}
