package schema

import (
	"errors"
	"sync"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
)

// shared is what the types of a set check payloads with. It is safe for
// concurrent use. What it makes of a message it makes once, however many types
// hold the message.
type shared struct {
	types     *dynamicpb.Types
	validator protovalidate.Validator
	rules     func() (*ruleLoops, error)
	programs  compiled // Counts what is compiled for the check in one pass.

	mu    sync.Mutex
	walks map[protoreflect.MessageDescriptor]*walk
}

func newShared(files *protoregistry.Files, types *dynamicpb.Types, validator protovalidate.Validator) *shared {
	return &shared{
		types: types, validator: validator,
		rules: sync.OnceValues(func() (*ruleLoops, error) { return newRuleLoops(files) }),
		walks: make(map[protoreflect.MessageDescriptor]*walk),
	}
}

// loopsOf returns how deep loops nest in the rules that apply to a message, at any
// depth.
func (s *shared) loopsOf(message protoreflect.MessageDescriptor) int {
	rules, err := s.rules()
	if err != nil { // Then no rule can be evaluated either.
		return maxRuleLoops
	}
	return rules.ofPayload(message)
}

// decode decodes a message, extensions too, with protobuf's own parser, which
// panics on a map's entry with a key and, after it, another one that isn't
// encoded as a key; such an entry is an error here.
func (s *shared) decode(message protoreflect.MessageDescriptor, data []byte) (decoded *dynamicpb.Message, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("a map's entry has a key of another type")
		}
	}()
	decoded = dynamicpb.NewMessage(message)
	err = proto.UnmarshalOptions{
		AllowPartial:   true, // The walk says which field is missing.
		Resolver:       s.types,
		RecursionLimit: MaxDepth,
	}.Unmarshal(data, decoded)
	return decoded, err
}
