package mutation

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// A form is one of the two in which events are exchanged.
type form int

const (
	inBinary form = iota
	inJSON
)

// read writes a message and reads it as another type. In JSON, a server refuses
// what it doesn't know and a consumer passes over it.
func (f form) read(written proto.Message, by protoreflect.MessageType, lenient bool) (proto.Message, error) {
	read := by.New().Interface()
	if f == inBinary {
		data, err := proto.MarshalOptions{AllowPartial: true}.Marshal(written)
		if err != nil {
			return nil, err
		}
		return read, proto.Unmarshal(data, read)
	}
	data, err := protojson.MarshalOptions{AllowPartial: true}.Marshal(written)
	if err != nil {
		return nil, err
	}
	return read, protojson.UnmarshalOptions{DiscardUnknown: lenient}.Unmarshal(data, read)
}

// counterpart returns the field of another schema that a reader takes for a field:
// in binary its number says which, in JSON its name. None: nil.
func (f form) counterpart(field protoreflect.FieldDescriptor, in protoreflect.MessageDescriptor) protoreflect.FieldDescriptor {
	if f == inBinary {
		return in.Fields().ByNumber(field.Number())
	}
	return in.Fields().ByJSONName(field.JSONName())
}

// compare says how what was read differs from what was written.
func (f form) compare(written, read protoreflect.Message) string {
	from, to := written.Descriptor(), read.Descriptor()
	if from.FullName() != to.FullName() {
		return otherValue
	}
	outcome := asBefore
	for i := range from.Fields().Len() {
		field := from.Fields().Get(i)
		if other := f.counterpart(field, to); other != nil {
			outcome = worst(outcome, f.compareField(written, field, read, other))
		} else if written.Has(field) {
			outcome = worst(outcome, notSeen)
		}
	}
	for i := range to.Fields().Len() {
		if f.counterpart(to.Fields().Get(i), from) == nil {
			outcome = worst(outcome, fieldEmpty)
		}
	}
	return outcome
}

// compareField says how the value of a field differs from what was written.
func (f form) compareField(written protoreflect.Message, field protoreflect.FieldDescriptor, read protoreflect.Message, other protoreflect.FieldDescriptor) string {
	wrote, got := values(written, field), values(read, other)
	switch {
	case len(got) == 0 && len(wrote) > 0:
		return notSeen
	case len(got) != len(wrote):
		return otherValue
	}
	outcome := asBefore
	for i := range wrote {
		outcome = worst(outcome, f.compareValue(wrote[i], field, got[i], other))
	}
	// What wasn't written has the default of who reads it.
	if len(got) == 0 && field.HasDefault() && !written.Get(field).Equal(read.Get(other)) {
		return otherValue
	}
	return outcome
}

func (f form) compareValue(wrote protoreflect.Value, field protoreflect.FieldDescriptor, got protoreflect.Value, other protoreflect.FieldDescriptor) string {
	from, isMessage := wrote.Interface().(protoreflect.Message)
	to, wasMessage := got.Interface().(protoreflect.Message)
	switch {
	case isMessage && wasMessage:
		return f.compare(from, to)
	case isMessage || wasMessage || wrote.String() != got.String():
		return otherValue
	case field.Enum() != nil && other.Enum() != nil && other.Enum().Values().ByNumber(got.Enum()) == nil:
		return nameless
	}
	return asBefore
}

// values returns the values that a field has: none, one, or those of a list. A map
// counts as one, as text: none that is tried has messages in it.
func values(m protoreflect.Message, field protoreflect.FieldDescriptor) []protoreflect.Value {
	switch {
	case !m.Has(field):
		return nil
	case field.IsList():
		list := make([]protoreflect.Value, m.Get(field).List().Len())
		for i := range list {
			list[i] = m.Get(field).List().Get(i)
		}
		return list
	case field.IsMap():
		var entries []string
		m.Get(field).Map().Range(func(key protoreflect.MapKey, value protoreflect.Value) bool {
			entries = append(entries, key.String()+"="+value.String())
			return true
		})
		slices.Sort(entries)
		return []protoreflect.Value{protoreflect.ValueOfString(strings.Join(entries, ","))}
	default:
		return []protoreflect.Value{m.Get(field)}
	}
}
