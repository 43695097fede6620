package schema

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/types/descriptorpb"
)

// files parses files from the text format, each with the imports that rules need.
func files(t *testing.T, texts ...string) *Set {
	t.Helper()
	var parsed []*descriptorpb.FileDescriptorProto
	for _, text := range texts {
		file := new(descriptorpb.FileDescriptorProto)
		if err := prototext.Unmarshal([]byte(text+` syntax: "proto3" dependency: "buf/validate/validate.proto"`), file); err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, file)
	}
	set, err := Parse(image(t, parsed...))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// field is a field with rules.
func field(name string, number int, kind, rules string) string {
	label := "LABEL_OPTIONAL"
	if list, ok := strings.CutPrefix(kind, "repeated "); ok {
		kind, label = list, "LABEL_REPEATED"
	}
	kind = "type: TYPE_" + kind
	if message, ok := strings.CutPrefix(kind, "type: TYPE_."); ok {
		kind = fmt.Sprintf("type: TYPE_MESSAGE type_name: %q", "."+message)
	}
	return fmt.Sprintf("field { name: %q number: %d label: %s %s options { [buf.validate.field] { %s } } }", name, number, label, kind, rules)
}

// Every mistake is found with the schema, wherever its message is declared, and
// named with its field.
func TestMistakes(t *testing.T) {
	const noClosing = "failed to compile program %s: error parsing regexp: missing closing ): `(`"
	entry := `nested_type { name: "FEntry" options { map_entry: true } ` + field("key", 1, "STRING", "") + field("value", 2, "STRING", "") + `}`
	for name, test := range map[string]struct {
		message string
		want    string // Empty: nothing is wrong.
	}{
		"nothing":                {field("f", 1, "INT32", rule("r", "this > 0")), ""},
		"syntax":                 {field("f", 1, "INT32", rule("r", "this >")), "a.A.f: failed to compile expression r: 1:7: Syntax error"},
		"unknown function":       {field("f", 1, "INT32", rule("r", "nosuch(this)")), "a.A.f: failed to compile expression r: 1:7: undeclared reference to 'nosuch'"},
		"unknown field":          {`options { [buf.validate.message] { ` + rule("r", "this.g > 0") + ` } }`, "a.A: failed to compile expression r: 1:5: undefined field 'g'"},
		"a number":               {field("f", 1, "INT32", rule("r", "this")), "a.A.f: expression r outputs int, wanted either bool or string"},
		"rules of another type":  {field("f", 1, "STRING", "int32 { gt: 1 }"), `a.A.f: expected rule "buf.validate.FieldRules.string", got "buf.validate.FieldRules.int32"`},
		"for one, on a list":     {field("f", 1, "repeated INT32", "int32 { gt: 1 }"), `a.A.f: expected rule "buf.validate.FieldRules.repeated"`},
		"for a list, on one":     {field("f", 1, "INT32", "repeated { min_items: 1 }"), `a.A.f: expected rule "buf.validate.FieldRules.int32"`},
		"of a time, on another":  {field("f", 1, ".a.A", "timestamp { lt_now: true }"), "a.A.f: mismatched message rules"},
		"pattern":                {field("f", 1, "STRING", `string { pattern: "(" }`), "a.A.f: " + fmt.Sprintf(noClosing, "string.pattern")},
		"pattern of bytes":       {field("f", 1, "BYTES", `bytes { pattern: "(" }`), "a.A.f: " + fmt.Sprintf(noClosing, "bytes.pattern")},
		"pattern of items":       {field("f", 1, "repeated STRING", `repeated { items { string { pattern: "(" } } }`), "a.A.f: failed to compile items rules"},
		"pattern of values":      {entry + field("f", 1, "repeated .a.A.FEntry", `map { values { string { pattern: "(" } } }`), "a.A.f: failed to compile value rules"},
		"keys of another type":   {entry + field("f", 1, "repeated .a.A.FEntry", "map { keys { int32 { gt: 1 } } }"), "a.A.f: failed to compile key rules"},
		"pattern in CEL":         {field("f", 1, "STRING", rule("r", "this == '' || this.matches('(')")), "a.A.f: " + fmt.Sprintf(noClosing, "r")},
		"one of no field":        {`options { [buf.validate.message] { oneof { fields: "g" } } }`, "a.A: field g not found in message a.A"},
		"of a nested message":    {`nested_type { name: "In" ` + field("f", 1, "INT32", rule("r", "x")) + `}`, "a.A.In.f: failed to compile expression r"},
		"of a nested message, 2": {`nested_type { name: "In" options { [buf.validate.message] { ` + rule("r", "x") + ` } } }`, "a.A.In: failed to compile expression r"},
		// An empty message breaks what comes first.
		"after one that fails": {
			field("e", 1, "INT32", rule("r", "1 / this > 0")) + field("f", 2, "INT32", rule("r", "x")),
			"a.A.f: failed to compile expression r",
		},
		"after its message's that fails": {
			`options { [buf.validate.message] { ` + rule("r", "1 / this.e > 0") + ` } }` + field("e", 1, "INT32", "") + field("f", 2, "INT32", rule("r", "x")),
			"a.A.f: failed to compile expression r",
		},
		"after one that is wrong": {
			field("e", 1, "STRING", "required: true string { min_len: 1 }") + field("f", 2, "INT32", rule("r", "x")),
			"a.A.f: failed to compile expression r",
		},
	} {
		t.Run(name, func(t *testing.T) {
			set := files(t, `name: "a.proto" package: "a" message_type { name: "A" `+test.message+`}`)
			err := set.CheckRules(t.Context(), set.Image(), 2)
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wrong, ok := errors.AsType[*RulesError](err)
			if !ok {
				t.Fatalf("got %v", err)
			}
			if text := wrong.Error(); len(wrong.Mistakes) != 1 || wrong.More || !strings.HasPrefix(text, "rules of "+test.want) || strings.Contains(text, "\n") || strings.Contains(text, "..^") {
				t.Errorf("got %s", text)
			}
		})
	}
}

// All mistakes are named up to a number, in an order that doesn't change.
func TestSeveralMistakes(t *testing.T) {
	var b strings.Builder
	for i := range 3 {
		b.WriteString(field(fmt.Sprintf("f%d", i), i+1, "INT32", rule("r", "x")))
	}
	set := files(t, `name: "a.proto" package: "a" message_type { name: "A" `+b.String()+`} message_type { name: "B" `+b.String()+`}`)
	wrong, ok := errors.AsType[*RulesError](set.CheckRules(t.Context(), set.Image(), 2))
	if !ok || len(wrong.Mistakes) != 6 || wrong.More {
		t.Fatalf("got %v", wrong)
	}
	for i, mistake := range wrong.Mistakes {
		if want := fmt.Sprintf("a.%c.f%d", 'A'+i/3, i%3); string(mistake.Element) != want {
			t.Errorf("%s is where %s is due", mistake.Element, want)
		}
	}
	b.Reset()
	for i := range 1000 {
		fmt.Fprintf(&b, `message_type { name: "M%03d" %s}`, i, field("f", 1, "INT32", rule("r", "x")))
	}
	set = files(t, `name: "a.proto" package: "a" `+b.String())
	wrong, ok = errors.AsType[*RulesError](set.CheckRules(t.Context(), set.Image(), 2))
	if !ok || len(wrong.Mistakes) != maxMistakes || !wrong.More || wrong.Mistakes[maxMistakes-1].Element != "a.M009.f" || !strings.HasSuffix(wrong.Error(), "; and more") {
		t.Errorf("got %v", wrong)
	}
}

// A rule may break because what it speaks of is declared anew, in another file.
func TestRulesOfImporters(t *testing.T) {
	texts := []string{
		`name: "a.proto" package: "a" message_type { name: "A" ` + field("f", 1, "INT32", "") + `}`,
		`name: "b.proto" package: "b" dependency: "a.proto" message_type { name: "B" ` + field("a", 1, ".a.A", rule("r", "this.f > 0")) + `}`,
		`name: "c.proto" package: "c" message_type { name: "C" ` + field("f", 1, "INT32", rule("r", "x")) + `}`,
	}
	set := files(t, texts...)
	newer := files(t, `name: "a.proto" package: "a" message_type { name: "A" `+field("g", 1, "INT32", "")+`}`).Image()
	changed, err := set.Image().Overlay(newer).Set()
	if err != nil {
		t.Fatal(err)
	}
	wrong, ok := errors.AsType[*RulesError](changed.CheckRules(t.Context(), newer, 1))
	if !ok || len(wrong.Mistakes) != 1 || wrong.Mistakes[0].Element != "b.B.a" {
		t.Errorf("got %v", wrong)
	}
}

func TestCheckRulesEnds(t *testing.T) {
	set := files(t, `name: "a.proto" package: "a" message_type { name: "A" `+field("f", 1, "INT32", rule("r", "x"))+`}`)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := set.CheckRules(ctx, set.Image(), 1); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
