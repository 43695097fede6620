package schema

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/hyperpb"
	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// ErrMalformed is wrapped by the error for a payload that isn't an encoding of
// its type.
var ErrMalformed = errors.New("not an encoding of its type")

// Type is a message that may be the payload of an event. It is safe for
// concurrent use.
type Type struct {
	// Name is the full name of the message.
	Name string
	// Topic is the topic that the message declares, or empty.
	Topic string
	// Key is the path of the field that gives the partition key, or empty.
	Key string
	// Description is the comment of the message, or empty where the descriptor
	// came without comments.
	Description string
	// Deprecated says whether the message is marked so.
	Deprecated bool

	descriptor protoreflect.MessageDescriptor
	key        []protoreflect.FieldDescriptor
	validator  protovalidate.Validator
	plain      func() *plain
	parser     func() *hyperpb.MessageType
	readable   func() *readable
}

var topicName = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)

func newType(message protoreflect.MessageDescriptor, files *protoregistry.Files, types *dynamicpb.Types, validator protovalidate.Validator) (*Type, error) {
	t := &Type{
		Name:       string(message.FullName()),
		descriptor: message,
		validator:  validator,
		plain: sync.OnceValue(func() *plain {
			return newPlain(message, make(map[protoreflect.FullName]*plain))
		}),
		// Compiling takes milliseconds for a large message, and most types of
		// a large set are never published.
		parser: sync.OnceValue(func() *hyperpb.MessageType {
			return hyperpb.CompileMessageDescriptor(message, hyperpb.WithExtensionsFromFiles(files))
		}),
		readable: sync.OnceValue(func() *readable { return newReadables(types).of(message) }),
	}
	comment := message.ParentFile().SourceLocations().ByDescriptor(message).LeadingComments
	// Each line begins with the space that follows the slashes.
	t.Description = strings.TrimSpace(strings.ReplaceAll(comment, "\n ", "\n"))
	if options, ok := message.Options().(*descriptorpb.MessageOptions); ok {
		t.Deprecated = options.GetDeprecated()
	}
	event := eventOptions(message)
	if event == nil {
		return t, nil
	}
	if !topicName.MatchString(event.GetTopic()) {
		return nil, fmt.Errorf("%s: option (tidings.v1.event).topic: %q is not a topic name", t.Name, event.GetTopic())
	}
	t.Topic = event.GetTopic()
	key, err := keyPath(message, event.GetKey())
	if err != nil {
		return nil, fmt.Errorf("%s: option (tidings.v1.event).key: %w", t.Name, err)
	}
	t.Key, t.key = event.GetKey(), key
	return t, nil
}

// keyPath resolves a path of field names joined by dots.
func keyPath(message protoreflect.MessageDescriptor, path string) ([]protoreflect.FieldDescriptor, error) {
	if path == "" {
		return nil, nil
	}
	var fields []protoreflect.FieldDescriptor
	for name := range strings.SplitSeq(path, ".") {
		if message == nil {
			return nil, fmt.Errorf("%q: %s is not a message", path, fields[len(fields)-1].Name())
		}
		field := message.Fields().ByName(protoreflect.Name(name))
		switch {
		case field == nil:
			return nil, fmt.Errorf("%q: %s has no field %q", path, message.FullName(), name)
		case field.IsList() || field.IsMap():
			return nil, fmt.Errorf("%q: %s is repeated", path, field.FullName())
		}
		fields = append(fields, field)
		message = field.Message()
	}
	switch last := fields[len(fields)-1]; last.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind, protoreflect.BytesKind,
		protoreflect.FloatKind, protoreflect.DoubleKind:
		return nil, fmt.Errorf("%q: %s is a %s, not a string, an integer, a bool or an enum", path, last.FullName(), last.Kind())
	default:
		return fields, nil
	}
}

// memory is what parsing a payload takes.
type memory struct {
	shared hyperpb.Shared
	buffer []byte
}

// memories holds memory between checks.
var memories = sync.Pool{New: func() any { return new(memory) }}

const (
	// maxDepth is the bound of nesting that protobuf's implementations share.
	maxDepth = 100
	// overread is how far hyperpb may read past the end of a payload.
	overread = 8
	// maxKept is the buffer above which memory isn't kept.
	maxKept = 1 << 20
)

// Check parses a payload once, checks it against the rules of the type and
// returns its partition key, or an empty one where the type has none. It
// returns an *InvalidError, or an error that wraps ErrMalformed.
func (t *Type) Check(payload []byte) (key string, err error) {
	if !t.plain().holds(payload, maxDepth) {
		return t.checkSlowly(payload)
	}
	m := memories.Get().(*memory) //nolint:forcetypeassert // The pool holds nothing else.
	// A copy that it may read past costs hyperpb less than one it makes itself.
	m.buffer = append(append(m.buffer[:0], payload...), make([]byte, overread)...)
	message := m.shared.NewMessage(t.parser())
	if message.Unmarshal(m.buffer[:len(payload)], hyperpb.WithMaxDepth(maxDepth), hyperpb.WithAllowAlias(true)) == nil {
		key, err = t.judge(message)
	} else {
		key, err = t.checkSlowly(payload)
	}
	// Not deferred: a panic leaves the memory in an unknown state.
	m.shared.Free()
	if cap(m.buffer) <= maxKept {
		memories.Put(m)
	}
	return key, err
}

// checkSlowly is Check with protobuf's own parser.
func (t *Type) checkSlowly(payload []byte) (key string, err error) {
	message, err := t.Parse(payload)
	if err != nil {
		return "", err
	}
	return t.judge(message)
}

// Descriptor describes the message.
func (t *Type) Descriptor() protoreflect.MessageDescriptor { return t.descriptor }

// Parse decodes a payload without checking it against the rules of the type.
// It returns an error that wraps ErrMalformed.
func (t *Type) Parse(payload []byte) (*dynamicpb.Message, error) {
	message := dynamicpb.NewMessage(t.descriptor)
	if err := unmarshal(payload, message); err != nil {
		return nil, fmt.Errorf("%w: %s", ErrMalformed, strings.ReplaceAll(err.Error(), "\u00a0", " "))
	}
	return message, nil
}

// unmarshal decodes with protobuf's own parser. That panics on a map's entry with
// a key and, after it, another one that isn't encoded as a key; such an entry is
// an error here.
func unmarshal(payload []byte, message *dynamicpb.Message) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("a map's entry has a key of another type")
		}
	}()
	return proto.UnmarshalOptions{RecursionLimit: maxDepth}.Unmarshal(payload, message)
}

// judge checks a parsed payload and returns its key.
func (t *Type) judge(message protoreflect.Message) (key string, err error) {
	if err := t.validate(message.Interface()); err != nil {
		return "", err
	}
	return t.keyOf(message), nil
}

func (t *Type) validate(message proto.Message) error {
	err := t.validator.Validate(message)
	if err == nil {
		if violation := t.readable().violation(message.ProtoReflect()); violation != nil {
			return &InvalidError{Violations: &validate.Violations{Violations: []*validate.Violation{violation}}}
		}
		return nil
	}
	if invalid, ok := errors.AsType[*protovalidate.ValidationError](err); ok {
		return newInvalidError(invalid)
	}
	return fmt.Errorf("rules of %s: %w", t.Name, err)
}

// keyOf returns the key as a copy, since the message's memory is used again.
func (t *Type) keyOf(message protoreflect.Message) string {
	if t.key == nil {
		return ""
	}
	last := len(t.key) - 1
	for _, field := range t.key[:last] {
		if !message.Has(field) {
			return ""
		}
		message = message.Get(field).Message()
	}
	field := t.key[last]
	if !message.Has(field) {
		return ""
	}
	value := message.Get(field)
	switch field.Kind() {
	case protoreflect.StringKind:
		return strings.Clone(value.String())
	case protoreflect.EnumKind:
		if v := field.Enum().Values().ByNumber(value.Enum()); v != nil {
			return string(v.Name())
		}
		return fmt.Sprint(value.Enum())
	default:
		return fmt.Sprint(value.Interface())
	}
}
