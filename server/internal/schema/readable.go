package schema

import (
	"fmt"
	"math"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// Protobuf's JSON form doesn't exist for every value that its binary form can
// carry: a Timestamp in year 10000, a Duration whose parts have two signs, a
// Value that is NaN, an Any of a type that nobody knows. An event with such a
// value would be accepted and then break every reader that asks for JSON, so
// it is refused instead.

// readableRule is the rule id of such a refusal.
const readableRule = "tidings.json_representable"

// readable walks the fields of one message that can hold such a value, directly
// or below.
type readable struct {
	check  func(protoreflect.Message) string // What is wrong, or empty. nil: nothing to check here.
	fields []readableField
}

type readableField struct {
	descriptor protoreflect.FieldDescriptor
	message    *readable
}

// readables makes the walks of a set's messages. It is not safe for concurrent
// use.
type readables struct {
	types   *dynamicpb.Types
	made    map[protoreflect.FullName]*readable
	reaches map[protoreflect.FullName]bool
}

func newReadables(types *dynamicpb.Types) *readables {
	return &readables{types: types, made: make(map[protoreflect.FullName]*readable), reaches: make(map[protoreflect.FullName]bool)}
}

// of returns the walk of a message, or nil where it can hold no such value.
func (r *readables) of(message protoreflect.MessageDescriptor) *readable {
	if !r.needed(message) {
		return nil
	}
	name := message.FullName()
	if made, ok := r.made[name]; ok {
		return made
	}
	made := &readable{check: r.checkOf(message)}
	r.made[name] = made // Before its fields, since a message may hold itself.
	if made.check != nil && name != "google.protobuf.Value" {
		return made
	}
	fields := message.Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if held := heldMessage(field); held != nil {
			if below := r.of(held); below != nil {
				made.fields = append(made.fields, readableField{field, below})
			}
		}
	}
	return made
}

// needed says whether a message can hold a value to check.
func (r *readables) needed(message protoreflect.MessageDescriptor) bool {
	name := message.FullName()
	if known, ok := r.reaches[name]; ok {
		return known
	}
	seen := map[protoreflect.FullName]bool{name: true}
	for queue := []protoreflect.MessageDescriptor{message}; len(queue) > 0 && !r.reaches[name]; queue = queue[1:] {
		if r.checkOf(queue[0]) != nil {
			r.reaches[name] = true
		}
		fields := queue[0].Fields()
		for i := range fields.Len() {
			if held := heldMessage(fields.Get(i)); held != nil && !seen[held.FullName()] {
				seen[held.FullName()] = true
				queue = append(queue, held)
			}
		}
	}
	return r.reaches[name]
}

// heldMessage is the message that a field holds, in a list or as the values of
// a map too, or nil.
func heldMessage(field protoreflect.FieldDescriptor) protoreflect.MessageDescriptor {
	if field.IsMap() {
		return field.MapValue().Message()
	}
	return field.Message()
}

// checkOf returns the check of a message's own value, or nil where it needs none.
func (r *readables) checkOf(message protoreflect.MessageDescriptor) func(protoreflect.Message) string {
	// A check is part of every publish, so it looks up no fields itself.
	fields := message.Fields()
	switch message.FullName() {
	case "google.protobuf.Timestamp":
		seconds, nanos := fields.ByNumber(1), fields.ByNumber(2)
		return func(m protoreflect.Message) string {
			if !isTimestamp(m.Get(seconds).Int(), m.Get(nanos).Int()) {
				return "must be a time from year 1 to 9999"
			}
			return ""
		}
	case "google.protobuf.Duration":
		seconds, nanos := fields.ByNumber(1), fields.ByNumber(2)
		return func(m protoreflect.Message) string {
			if !isDuration(m.Get(seconds).Int(), m.Get(nanos).Int()) {
				return "must be a duration of at most 10,000 years, its seconds and nanos with the same sign"
			}
			return ""
		}
	case "google.protobuf.FieldMask":
		field := fields.ByNumber(1)
		return func(m protoreflect.Message) string {
			paths := m.Get(field).List()
			for i := range paths.Len() {
				if path := paths.Get(i).String(); !reversible(path) {
					return fmt.Sprintf("%q is not a path of field names in lower_snake_case", path)
				}
			}
			return ""
		}
	case "google.protobuf.Value":
		return checkValue
	case "google.protobuf.Any":
		return r.checkAny
	default:
		return nil
	}
}

// The bounds of Timestamp and Duration, as their own comments say them.
const (
	minTimestamp   = -62_135_596_800 // 0001-01-01T00:00:00Z
	maxTimestamp   = 253_402_300_799 // 9999-12-31T23:59:59Z
	maxDuration    = 315_576_000_000 // 10,000 years of 365.25 days
	nanosPerSecond = 1_000_000_000
)

func isTimestamp(seconds, nanos int64) bool {
	return seconds >= minTimestamp && seconds <= maxTimestamp && nanos >= 0 && nanos < nanosPerSecond
}

func isDuration(seconds, nanos int64) bool {
	sameSign := seconds == 0 || nanos == 0 || seconds < 0 == (nanos < 0)
	return sameSign && seconds >= -maxDuration && seconds <= maxDuration && nanos > -nanosPerSecond && nanos < nanosPerSecond
}

// reversible says whether a path comes back from its JSON form, which is in
// lowerCamelCase.
func reversible(path string) bool {
	for part := range strings.SplitSeq(path, ".") {
		if !protoreflect.Name(part).IsValid() {
			return false
		}
	}
	for i, c := range path {
		if c >= 'A' && c <= 'Z' || c == '_' && (i+1 == len(path) || path[i+1] < 'a' || path[i+1] > 'z') {
			return false
		}
	}
	return true
}

func checkValue(m protoreflect.Message) string {
	kind := m.WhichOneof(m.Descriptor().Oneofs().ByName("kind"))
	if kind == nil {
		return "must have a kind"
	}
	if kind.Kind() == protoreflect.DoubleKind {
		if f := m.Get(kind).Float(); math.IsNaN(f) || math.IsInf(f, 0) {
			return "must be a finite number"
		}
	}
	return ""
}

func (r *readables) checkAny(m protoreflect.Message) string {
	fields := m.Descriptor().Fields()
	url := m.Get(fields.ByNumber(1)).String()
	if url == "" && len(m.Get(fields.ByNumber(2)).Bytes()) == 0 {
		return ""
	}
	t, err := r.types.FindMessageByURL(url)
	if err != nil {
		if t, err = protoregistry.GlobalTypes.FindMessageByURL(url); err != nil {
			return fmt.Sprintf("the server has not been given the type %q", url)
		}
	}
	inner := dynamicpb.NewMessage(t.Descriptor())
	if err := unmarshal(m.Get(fields.ByNumber(2)).Bytes(), inner); err != nil {
		return "not an encoding of " + string(t.Descriptor().FullName())
	}
	// Seldom enough to make the walk anew: what is made is not safe to share.
	if violation := newReadables(r.types).of(t.Descriptor()).violation(inner); violation != nil {
		return violation.GetMessage()
	}
	return ""
}

// violation returns the first value below a message that has no JSON form, or
// nil.
func (w *readable) violation(m protoreflect.Message) *validate.Violation {
	if w == nil {
		return nil
	}
	if w.check != nil {
		if wrong := w.check(m); wrong != "" {
			rule := readableRule
			return &validate.Violation{Field: new(validate.FieldPath), RuleId: &rule, Message: &wrong}
		}
	}
	for _, field := range w.fields {
		if !m.Has(field.descriptor) {
			continue
		}
		if violation := field.violation(m.Get(field.descriptor)); violation != nil {
			return violation
		}
	}
	return nil
}

func (f readableField) violation(value protoreflect.Value) *validate.Violation {
	switch {
	case f.descriptor.IsList():
		list := value.List()
		for i := range list.Len() {
			if found := f.message.violation(list.Get(i).Message()); found != nil {
				f.extend(found, &validate.FieldPathElement{Subscript: &validate.FieldPathElement_Index{Index: uint64(i)}})
				return found
			}
		}
	case f.descriptor.IsMap():
		var found *validate.Violation
		value.Map().Range(func(key protoreflect.MapKey, value protoreflect.Value) bool {
			if found = f.message.violation(value.Message()); found != nil {
				f.extend(found, &validate.FieldPathElement{
					Subscript: &validate.FieldPathElement_StringKey{StringKey: strings.Clone(key.String())},
				})
			}
			return found == nil
		})
		return found
	default:
		if found := f.message.violation(value.Message()); found != nil {
			f.extend(found, new(validate.FieldPathElement))
			return found
		}
	}
	return nil
}

// extend puts the field before the path of a violation below it.
func (f readableField) extend(found *validate.Violation, element *validate.FieldPathElement) {
	element.FieldName = new(string(f.descriptor.Name()))
	element.FieldNumber = new(int32(f.descriptor.Number()))
	element.FieldType = descriptorpb.FieldDescriptorProto_Type(f.descriptor.Kind()).Enum()
	found.Field.Elements = append([]*validate.FieldPathElement{element}, found.GetField().GetElements()...)
}
