package schema

import (
	"testing"

	"google.golang.org/protobuf/proto"
)

// The usual events are decided about in one pass, without an allocation but for the
// text of the key.
func TestUsualEventsTakeOnePass(t *testing.T) {
	types := examples(t)
	for _, event := range costEvents() {
		t.Run(event.name, func(t *testing.T) {
			message := event.make(1)
			payload, err := proto.Marshal(message)
			if err != nil {
				t.Fatal(err)
			}
			checked, err := types.Type(string(message.ProtoReflect().Descriptor().FullName()))
			if err != nil {
				t.Fatal(err)
			}
			program := checked.program()
			if program == nil {
				t.Fatal("there is no program")
			}
			room := make([]byte, 0, 128)
			if _, ok := program.Check(payload, room); !ok {
				t.Error("it is in doubt")
			}
			if got := testing.AllocsPerRun(100, func() { program.Check(payload, room) }); got > 0 && !poolsForget {
				t.Errorf("a pass takes %v allocations", got)
			}
			wanted := 0.0
			if checked.Key != "" {
				wanted = 1
			}
			if got := testing.AllocsPerRun(100, func() {
				if _, err := checked.Check(t.Context(), payload); err != nil {
					t.Error(err)
				}
			}); got > wanted && !poolsForget {
				t.Errorf("a check takes %v allocations, want at most %v", got, wanted)
			}
		})
	}
}

// What CEL makes an error of a payload is in doubt, however little of it a shorter
// evaluation would look at.
func TestErrorsOfCELAreInDoubt(t *testing.T) {
	for _, test := range []struct {
		expression string
		payload    []byte
		sure       bool
	}{
		{"this.numbers[0] in this.numbers", numbers(1), true},
		{"!(this.numbers[0] in this.numbers)", nil, false},
		{"1 in [1, this.numbers[3]]", numbers(1), false},
		{"this.numbers.all(n, 1 / n > 0)", numbers(1, 1), true},
		{"this.numbers.all(n, 1 / n > 0)", numbers(1, 0), false},
		{"this.numbers.exists_one(n, 6 % n == 0)", numbers(4, 3), true},
		{"this.numbers.exists_one(n, 6 % n == 0)", numbers(3, 0), false},
		{"9223372036854775807 + this.numbers[0] > 0", numbers(1), false},
		{"this.numbers.size() > 5 || this.numbers[1] == 1", numbers(1), false},
		{"size(this.texts) - 1 < 0", nil, true},
	} {
		_, checked := ruledType(t, rule("r", test.expression), "", "")
		if checked.program() == nil {
			t.Errorf("%s: there is no program", test.expression)
			continue
		}
		if _, got := checked.program().Check(test.payload, nil); got != test.sure {
			t.Errorf("%s of %x: sure: %v, want %v", test.expression, test.payload, got, test.sure)
		}
		if _, err := checked.checkParsed(t.Context(), test.payload); (err == nil) != test.sure {
			t.Errorf("%s of %x: %v, want valid: %v", test.expression, test.payload, err, test.sure)
		}
	}
}
