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
