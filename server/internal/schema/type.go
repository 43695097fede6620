package schema

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"unsafe"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"example.com/tidings/server/internal/precheck"
)

// ErrMalformed is wrapped by the error for a payload that isn't an encoding of
// its type.
var ErrMalformed = errors.New("not an encoding of its type")

// Type is a message that may be the payload of an event. It is safe for
// concurrent use.
type Type struct {
	// Name is the full name of the message.
	Name string
	// URL is the normal form of the URLs of the type, which every library takes.
	URL string
	// Topic is the topic that the message declares, or empty.
	Topic string
	// Key is the path of the field that gives the partition key, or empty.
	Key string
	// Description is the comment of the message, or empty where the descriptor
	// came without comments.
	Description string
	// Deprecated reports whether the message is marked so.
	Deprecated bool

	descriptor protoreflect.MessageDescriptor
	key        []protoreflect.FieldDescriptor
	shared     *shared
	program    func() *precheck.Program
	walk       func() *walk
	loops      func() int // How deep they nest in the rules.
	revision   func() [RevisionSize]byte
}

// urlPrefix begins the URL of a type: PHP's library and C++'s JSON take nothing
// else.
const urlPrefix = "type.googleapis.com/"

func newType(message protoreflect.MessageDescriptor, shared *shared) (*Type, error) {
	t := &Type{
		Name:       string(message.FullName()),
		URL:        urlPrefix + string(message.FullName()),
		descriptor: message,
		shared:     shared,
		walk:       sync.OnceValue(func() *walk { return shared.walkOf(message) }),
		loops:      sync.OnceValue(func() int { return shared.loopsOf(message) }),
	}
	// Compiling takes milliseconds, and most types of a large set are never published.
	t.program = sync.OnceValue(func() *precheck.Program { return shared.programOf(t) })
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
	if err := checkTopicName(event.GetTopic()); err != nil {
		return nil, fmt.Errorf("%s: option (tidings.options.v1.event).topic: %w", t.Name, err)
	}
	t.Topic = event.GetTopic()
	key, err := keyPath(message, event.GetKey())
	if err != nil {
		return nil, fmt.Errorf("%s: option (tidings.options.v1.event).key: %w", t.Name, err)
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

const (
	// MaxDepth is how deep the messages of a payload nest, itself included: the
	// bound that protobuf's implementations share. An entry of a map and what an
	// Any holds are each a level.
	MaxDepth = 100
	// TooDeep says so.
	TooDeep = "messages nest deeper than 100"
)

// Check checks a payload against its type and the rules of the type, and returns
// its partition key, or an empty one where the type has none. It returns an
// *InvalidError, an error that wraps ErrMalformed, or the context's.
func (t *Type) Check(ctx context.Context, payload []byte) (key string, err error) {
	key, _, err = t.CheckInto(ctx, payload, nil)
	return key, err
}

// CheckInto is Check that may append the key to the keys of payloads before, and return
// them with it: memory is allocated for many keys at once. What was appended is never to
// be changed.
func (t *Type) CheckInto(ctx context.Context, payload, keys []byte) (key string, all []byte, err error) {
	if program := t.program(); program != nil {
		if all, ok := program.Check(payload, keys); ok {
			added := all[len(keys):]
			return unsafe.String(unsafe.SliceData(added), len(added)), all, nil //nolint:gosec // As it says above.
		}
	}
	key, err = t.checkParsed(ctx, payload)
	return key, keys, err
}

// checkParsed is Check for what isn't certainly in order, with protobuf's own parser.
func (t *Type) checkParsed(ctx context.Context, payload []byte) (key string, err error) {
	if r := t.shared.inspect(t.descriptor, payload, MaxDepth); r != nil {
		return "", r.err()
	}
	message, err := t.Parse(payload)
	if err != nil {
		return "", err
	}
	return t.judge(ctx, message, len(payload))
}

// Descriptor describes the message.
func (t *Type) Descriptor() protoreflect.MessageDescriptor { return t.descriptor }

// Parse decodes a payload without checking it against the rules of the type.
// It returns an error that wraps ErrMalformed.
func (t *Type) Parse(payload []byte) (*dynamicpb.Message, error) {
	message, err := t.shared.decode(t.descriptor, payload)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrMalformed, strings.ReplaceAll(err.Error(), "\u00a0", " "))
	}
	return message, nil
}

// judge checks a parsed payload and returns its key.
func (t *Type) judge(ctx context.Context, message protoreflect.Message, size int) (key string, err error) {
	if w := t.walk(); w != nil {
		if r := new(visit).of(t.shared, w, message); r != nil {
			return "", r.err()
		}
	}
	if err := checkParts(message, size, t.loops()); err != nil {
		return "", err
	}
	if err := t.validate(ctx, message.Interface(), size); err != nil {
		return "", err
	}
	return t.keyOf(message), nil
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
