package tightening

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// TestEveryRuleIsClaimed fails for a rule that no check compares, which would
// count as tighter whenever it changes, and for a check of a rule that isn't there.
func TestEveryRuleIsClaimed(t *testing.T) {
	known := map[protoreflect.Name]bool{}
	types := rulesDescriptor.Oneofs().ByName("type").Fields()
	for i := range types.Len() {
		kind := types.Get(i)
		known[kind.Name()] = true
		rules := kind.Message().Fields()
		for j := range rules.Len() {
			name := rules.Get(j).Name()
			claims := slices.ContainsFunc(kinds[kind.Name()], func(c check) bool { return slices.Contains(c.claims, name) })
			if !claims {
				t.Errorf("no check claims %s.%s", kind.Name(), name)
			}
		}
	}
	for name := range kinds {
		if !known[name] {
			t.Errorf("there are checks for %s, and protovalidate has no such rules", name)
		}
	}
}
