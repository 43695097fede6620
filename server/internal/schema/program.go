package schema

import (
	"context"

	"google.golang.org/protobuf/reflect/protoreflect"

	"example.com/tidings/server/internal/precheck"
)

// programOf compiles what decides about most payloads of a type in one pass. It is
// nil where that doubts all of them, or where the rules have a mistake, which is for
// protovalidate to say.
func (s *shared) programOf(t *Type) (program *precheck.Program) {
	defer func() {
		if recover() != nil { // In protovalidate or CEL, which say so of the payload too.
			program = nil
		}
	}()
	if !s.programs.take(t.descriptor) {
		return nil
	}
	rules, err := s.rules()
	if err != nil {
		return nil
	}
	program = precheck.Compile(t.descriptor, precheck.Options{
		Key: t.key, MaxSize: partsFor(t.loops()), Rules: rules.env,
	})
	if program == nil {
		return nil
	}
	for _, message := range reachable(t.descriptor) {
		if len(mistakesIn(context.Background(), s.validator, message, nil)) > 0 {
			return nil
		}
	}
	return program
}

// reachable returns a message and all that it may hold, but for the entries of maps.
func reachable(message protoreflect.MessageDescriptor) []protoreflect.MessageDescriptor {
	seen := map[protoreflect.MessageDescriptor]bool{message: true}
	found := []protoreflect.MessageDescriptor{message}
	for i := 0; i < len(found); i++ {
		fields := found[i].Fields()
		for n := range fields.Len() {
			if held := heldMessage(fields.Get(n)); held != nil && !seen[held] {
				seen[held] = true
				found = append(found, held)
			}
		}
	}
	return found
}
