package schema

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/descriptorpb"
)

// ruled is a message with numbers, texts and another of its own type, and rules
// on it, on the numbers and on the texts.
func ruled(message, numbers, texts string) string {
	return fmt.Sprintf(`
name: "ruled.proto" package: "ruled" syntax: "proto3" dependency: "buf/validate/validate.proto"
message_type {
  name: "Ruled"
  options { [buf.validate.message] { %s } }
  field { name: "numbers" number: 1 label: LABEL_REPEATED type: TYPE_INT32 options { [buf.validate.field] { %s } } }
  field { name: "texts" number: 2 label: LABEL_REPEATED type: TYPE_STRING options { [buf.validate.field] { %s } } }
  field { name: "below" number: 3 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".ruled.Ruled" }
}`, message, numbers, texts)
}

func ruledType(t *testing.T, message, numbers, texts string) (*Set, *Type) {
	t.Helper()
	file := new(descriptorpb.FileDescriptorProto)
	if err := prototext.Unmarshal([]byte(ruled(message, numbers, texts)), file); err != nil {
		t.Fatal(err)
	}
	set, err := Parse(image(t, file))
	if err != nil {
		t.Fatal(err)
	}
	checked, err := set.Type("ruled.Ruled")
	if err != nil {
		t.Fatal(err)
	}
	return set, checked
}

func rule(id, expression string) string {
	return fmt.Sprintf("cel { id: %q message: \"no\" expression: %q }", id, expression)
}

// numbers are packed, as field 1.
func numbers(values ...byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), values)
}

func violationsOf(t *testing.T, err error) (violations []string) {
	t.Helper()
	invalid, ok := errors.AsType[*InvalidError](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	for _, v := range invalid.Violations.GetViolations() {
		violations = append(violations, protovalidate.FieldPathString(v.GetField())+" "+v.GetRuleId()+" "+v.GetMessage())
	}
	return violations
}

// What the content does to a rule is the content's fault.
func TestRuleThatFails(t *testing.T) {
	divides := rule("divides", "this.numbers[0] / this.numbers[1] > 0")
	below := protowire.AppendBytes(protowire.AppendTag(numbers(1, 1), 3, protowire.BytesType), numbers(1, 0))
	for name, test := range map[string]struct {
		message, numbers string
		payload          []byte
		want             string
	}{
		"of the message": {divides, "", numbers(1, 0), ` divides the rule "divides" can't be evaluated: division by zero`},
		"of one below":   {divides, "", below, ` divides the rule "divides" can't be evaluated: division by zero`},
		"of a field": {"", rule("second", "this[1] > 0"), numbers(1),
			`numbers second the rule "second" can't be evaluated: index out of bounds: 1`},
		"without an id": {"", `cel_expression: "this[1] > 0"`, numbers(1),
			`numbers this[1] > 0 the rule "this[1] > 0" can't be evaluated: index out of bounds: 1`},
	} {
		t.Run(name, func(t *testing.T) {
			_, checked := ruledType(t, test.message, test.numbers, "")
			if _, err := checked.Check(t.Context(), numbers(2, 1)); err != nil {
				t.Fatal(err)
			}
			_, err := checked.Check(t.Context(), test.payload)
			if got := violationsOf(t, err); len(got) != 1 || got[0] != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// Loops in loops are applied to no more than can be paid for, wherever the rule
// is, and single loops to all.
func TestLoopCost(t *testing.T) {
	const (
		one   = "this.numbers.all(a, a >= 0)"
		two   = "this.numbers.all(a, this.numbers.all(b, a + b >= 0))"
		three = "this.numbers.map(a, this.numbers.map(b, this.numbers.map(c, a + b + c))).size() >= 0"
	)
	for name, test := range map[string]struct {
		message, numbers, texts string
		most                    int // Numbers; 0: any.
	}{
		"a loop":          {message: rule("r", one)},
		"a loop in a":     {message: rule("r", "this.numbers.filter(a, a > 0).all(b, b > 0) || true")},
		"two":             {message: rule("r", two), most: 1000},
		"three":           {message: rule("r", three), most: 100},
		"two, on a field": {numbers: rule("r", "this.all(a, this.exists(b, b == a))"), most: 1000},
		"two, on items":   {texts: "repeated { items { " + rule("r", "[this].all(a, [1].all(b, true))") + " } }", most: 1000},
	} {
		t.Run(name, func(t *testing.T) {
			set, checked := ruledType(t, test.message, test.numbers, test.texts)
			if err := set.CheckRules(t.Context(), set.Image(), 2); err != nil {
				t.Fatal(err)
			}
			count := 20_000
			if test.most > 0 {
				count = test.most + 1
			}
			_, err := checked.Check(t.Context(), numbers(bytes.Repeat([]byte{1}, count)...))
			if test.most == 0 {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if got := violationsOf(t, err); len(got) != 1 || !strings.HasPrefix(got[0], " tidings.loop_cost has more than") {
				t.Errorf("got %q", got)
			}
			if test.most == 100 {
				if _, err := checked.Check(t.Context(), numbers(bytes.Repeat([]byte{1}, test.most-2)...)); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// A rule that schemas declare for others to use counts for all types.
func TestLoopsOfPredefinedRules(t *testing.T) {
	declaring := new(descriptorpb.FileDescriptorProto)
	if err := prototext.Unmarshal([]byte(`
name: "predefined.proto" package: "predefined" syntax: "proto2" dependency: "buf/validate/validate.proto"
extension {
  name: "twice" number: 80048952 extendee: ".buf.validate.Int32Rules" label: LABEL_OPTIONAL type: TYPE_BOOL
  options { [buf.validate.predefined] { `+rule("twice", "[this].all(a, [this].all(b, a == b))")+` } }
}`), declaring); err != nil {
		t.Fatal(err)
	}
	using := new(descriptorpb.FileDescriptorProto)
	if err := prototext.Unmarshal([]byte(ruled("", "", "")), using); err != nil {
		t.Fatal(err)
	}
	set, err := Parse(image(t, declaring, using))
	if err != nil {
		t.Fatal(err)
	}
	if got := set.types["ruled.Ruled"].loops(); got != 2 {
		t.Errorf("loops nest %d deep", got)
	}
}

// Rules that nobody could pay for are refused with their schema.
func TestRulesWithTooManyLoops(t *testing.T) {
	expression := "true"
	for i := range maxRuleLoops + 1 {
		set, _ := ruledType(t, rule("r", expression), "", "")
		if err := set.CheckRules(t.Context(), set.Image(), 2); err != nil {
			t.Errorf("%d loops: %v", i, err)
		}
		expression = fmt.Sprintf("this.numbers.all(x%d, %s)", i, expression)
	}
	set, _ := ruledType(t, rule("r", expression), "", "")
	if err := set.CheckRules(t.Context(), set.Image(), 2); fmt.Sprint(err) != "rules of ruled.Ruled: "+errTooManyLoops.Error() {
		t.Errorf("got %v", err)
	}
}

// A large payload is refused for the first that is wrong, its count before its
// elements, and no longer checked once nobody waits.
func TestLargePayload(t *testing.T) {
	_, checked := ruledType(t, "", "repeated { max_items: 10 items { int32 { gt: 1 } } }", "")
	small, large := numbers(bytes.Repeat([]byte{1}, 11)...), numbers(bytes.Repeat([]byte{1}, largePayload)...)
	_, err := checked.Check(t.Context(), small)
	if got := violationsOf(t, err); len(got) != 12 {
		t.Errorf("of a small one %q", got)
	}
	_, err = checked.Check(t.Context(), large)
	if got := violationsOf(t, err); len(got) != 1 || !strings.Contains(got[0], "repeated.max_items") {
		t.Errorf("of a large one %q", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := checked.Check(ctx, large); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
