package schemarules

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// A fieldCase is a change of the rules of a field.
type fieldCase struct {
	line     int
	typeName string
	was, is  string
	// rule is the rule that is tighter. Empty: none is.
	rule string
	// incomparable is set where nobody knows whether it is.
	incomparable bool
}

// groups are the names that stand for several types.
var groups = map[string][]string{
	"WHOLE":    {"int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64", "sfixed32", "sfixed64"},
	"UNSIGNED": {"uint32", "uint64", "fixed32", "fixed64"},
	"FRACTION": {"float", "double"},
}

// formats are the well-known formats of strings that are on or off.
func formats() []string {
	var names []string
	fields := (*validate.StringRules)(nil).ProtoReflect().Descriptor().Oneofs().ByName("well_known").Fields()
	for i := range fields.Len() {
		if fields.Get(i).Kind() == protoreflect.BoolKind {
			names = append(names, string(fields.Get(i).Name()))
		}
	}
	return names
}

func readFieldCases(t *testing.T) []fieldCase {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", "fields.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var cases []fieldCase
	lines := bufio.NewScanner(file)
	for number := 1; lines.Scan(); number++ {
		line := lines.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		parts := columns(line)
		if len(parts) != 4 {
			t.Fatalf("line %d has %d parts, want 4", number, len(parts))
		}
		for i := range parts {
			parts[i] = strings.TrimSpace(parts[i])
		}
		c := fieldCase{line: number, typeName: parts[0], was: parts[1], is: parts[2], rule: parts[3]}
		if c.rule == "passes" {
			c.rule = ""
		}
		if rule, ok := strings.CutPrefix(c.rule, "? "); ok {
			c.rule, c.incomparable = rule, true
		}
		cases = append(cases, c.expand()...)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return cases
}

// columns splits a line at each | between blanks: rules hold others.
func columns(line string) []string {
	var parts []string
	from := 0
	for i := 1; i+1 < len(line); i++ {
		if line[i-1:i+2] == " | " {
			parts, from = append(parts, line[from:i]), i+1
		}
	}
	return append(parts, line[from:])
}

// expand returns the cases that a line with a group stands for.
func (c fieldCase) expand() []fieldCase {
	names, mark := groups[c.typeName], "$"
	if c.typeName == "NUMBER" {
		names = slices.Concat(groups["WHOLE"], groups["FRACTION"])
	}
	if strings.Contains(c.was+c.is, "FORMAT") {
		names, mark = formats(), "FORMAT"
	}
	if names == nil {
		return []fieldCase{c}
	}
	var cases []fieldCase
	for _, name := range names {
		one := c
		if mark == "$" {
			one.typeName = name
		}
		one.was, one.is = strings.ReplaceAll(c.was, mark, name), strings.ReplaceAll(c.is, mark, name)
		one.rule = strings.ReplaceAll(c.rule, mark, name)
		cases = append(cases, one)
	}
	return cases
}

// schema is the case as a schema with the given rules.
func (c fieldCase) schema(i int, rules string) string {
	return fmt.Sprintf(`syntax = "proto3";

package cases.n%d;

import "buf/validate/validate.proto";
import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";

message Case {
  %s value = 1 [(buf.validate.field) = {%s}];
}

message Part {}

enum Kind {
  KIND_UNSPECIFIED = 0;
  KIND_A = 1;
  KIND_B = 2;
}
`, i, c.typeName, rules)
}

// lineOfRules is the line of the schema that has the rules.
const lineOfRules = 13

func TestRulesOfFields(t *testing.T) {
	cases := readFieldCases(t)
	was, is := schemaFiles{}, schemaFiles{}
	for i, c := range cases {
		name := fmt.Sprintf("case%d.proto", i)
		was[name], is[name] = c.schema(i, c.was), c.schema(i, c.is)
	}
	found := map[string][]finding{}
	for _, f := range run(t, was, is, "TIDINGS_VALIDATION_NO_TIGHTEN", "TIDINGS_VALIDATION_COMPARABLE") {
		found[f.file] = append(found[f.file], f)
	}
	for i, c := range cases {
		findings := found[fmt.Sprintf("case%d.proto", i)]
		label := fmt.Sprintf("testdata/fields.txt:%d: %s: %q to %q", c.line, c.typeName, c.was, c.is)
		switch {
		case c.rule == "" && len(findings) > 0:
			t.Errorf("%s: want it to pass, got %v", label, findings)
		case c.rule == "":
		case len(findings) == 0:
			t.Errorf("%s: passes, want %s to be tighter", label, c.rule)
		default:
			verdict := " is tighter: "
			if c.incomparable {
				verdict = " can't be compared: "
			}
			for _, f := range findings {
				if !strings.Contains(f.message, verdict+c.rule+" ") || f.line != lineOfRules {
					t.Errorf("%s: want %s to be tighter in line %d, got %v", label, c.rule, lineOfRules, f)
				}
			}
		}
	}
}

// TestEveryRuleHasACase fails for a rule of protovalidate, such as one of a later
// version, that no case tightens or that no case loosens.
func TestEveryRuleHasACase(t *testing.T) {
	tightened, loosened := map[string]bool{}, map[string]bool{}
	for _, c := range readFieldCases(t) {
		if c.rule != "" {
			tightened[c.rule] = true
			continue
		}
		was, is := &validate.FieldRules{}, &validate.FieldRules{}
		if err := prototext.Unmarshal([]byte(c.was), was); err != nil {
			t.Fatal(err)
		}
		if err := prototext.Unmarshal([]byte(c.is), is); err != nil {
			t.Fatal(err)
		}
		for _, rule := range changed("", was.ProtoReflect(), is.ProtoReflect()) {
			loosened[rule] = true
		}
	}
	for _, rule := range allRules("", (&validate.FieldRules{}).ProtoReflect().Descriptor()) {
		if !loosened[rule] {
			t.Errorf("no case changes %s and passes", rule)
		}
		if !tightened[rule] && !strings.HasSuffix(rule, ".example") {
			t.Errorf("no case tightens %s", rule)
		}
	}
}

// allRules returns the names of all rules in a message of rules. Those in lists
// and maps are the same again, so one case shows that they are reached.
func allRules(prefix string, rules protoreflect.MessageDescriptor) []string {
	var names []string
	for i := range rules.Fields().Len() {
		field := rules.Fields().Get(i)
		name := prefix + string(field.Name())
		switch {
		case name == "repeated.items":
			names = append(names, name+".string.max_len")
		case name == "map.keys":
			names = append(names, name+".string.max_len")
		case name == "map.values":
			names = append(names, name+".int32.gt")
		case field.Message() != nil && field.ContainingOneof() != nil && prefix == "":
			names = append(names, allRules(name+".", field.Message())...)
		default:
			names = append(names, name)
		}
	}
	return names
}

// changed returns the names of the rules that differ.
func changed(prefix string, was, is protoreflect.Message) []string {
	var names []string
	fields := is.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if was.Get(field).Equal(is.Get(field)) && was.Has(field) == is.Has(field) {
			continue
		}
		name := prefix + string(field.Name())
		if rules := field.Message(); rules != nil && !field.IsList() && rules.ParentFile() == is.Descriptor().ParentFile() {
			names = append(names, changed(name+".", was.Get(field).Message(), is.Get(field).Message())...)
			continue
		}
		names = append(names, name)
	}
	return names
}
