package jsonwire

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// form is what a message is in JSON.
type form int

const (
	formUnsure form = iota // It is left to protojson.
	formObject
	formAny
	formTimestamp
	formDuration
	formWrapper // The value of its field.
)

// message is what is known of a message.
type message struct {
	form   form
	empty  bool // google.protobuf.Empty, whose form in an Any is another.
	fields []field
	named  map[string]*field
	few    []*field // By their numbers, as far as these are low.
	many   map[protowire.Number]*field
}

// field is what is known of a field, of a map's key or of its value.
type field struct {
	name     string // In JSON.
	quoted   string // The name, as it stands in JSON.
	number   protowire.Number
	kind     protoreflect.Kind
	wire     protowire.Type // Of a single value.
	tag      uint64         // With the type of what is written.
	rank     int            // Among the fields as they are encoded.
	index    int            // Among the fields as JSON has them.
	list     bool
	packed   bool
	implicit bool  // A zero isn't encoded.
	oneof    uint8 // From 1 on. 0: it is in none.
	message  *message
	enum     *enum
	// Of a map.
	key, value *field
}

// enum are the values of an enum.
type enum struct {
	numbers map[string]int32
	quoted  map[int32]string
}

// manyFields are more than the numbers of most messages.
const manyFields = 256

func (m *message) numbered(number protowire.Number) *field {
	if int(number) < len(m.few) {
		return m.few[number]
	}
	return m.many[number]
}

// compile makes what is known of a message and of those that it may hold. The lock
// is held.
func (t *Types) compile(of protoreflect.MessageDescriptor) *message {
	var todo []protoreflect.MessageDescriptor
	get := func(of protoreflect.MessageDescriptor) *message {
		m := t.messages[of]
		if m == nil {
			m = new(message)
			t.messages[of] = m
			todo = append(todo, of)
		}
		return m
	}
	enums := make(map[protoreflect.EnumDescriptor]*enum)
	made := get(of)
	for len(todo) > 0 {
		next := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		t.messages[next].compile(next, get, enums)
	}
	return made
}

func (m *message) compile(of protoreflect.MessageDescriptor, get func(protoreflect.MessageDescriptor) *message, enums map[protoreflect.EnumDescriptor]*enum) {
	if m.form = formOf(of); m.form == formUnsure || m.form == formAny {
		return
	}
	m.empty = of.FullName() == "google.protobuf.Empty"
	descriptors := of.Fields()
	m.fields, m.named, m.many = make([]field, descriptors.Len()), make(map[string]*field), make(map[protowire.Number]*field)
	for i := range m.fields {
		f := &m.fields[i]
		f.declare(descriptors.Get(i), get, enums)
		if m.named[f.name] != nil || f.name == typeName || strings.HasPrefix(f.name, "[") {
			m.form = formUnsure
		}
		m.named[f.name], m.many[f.number] = f, f
		if f.number < manyFields && int(f.number) >= len(m.few) {
			m.few = append(m.few, make([]*field, int(f.number)+1-len(m.few))...)
		}
	}
	for i := range m.fields {
		f := &m.fields[i]
		if name := string(descriptors.Get(i).Name()); m.named[name] == nil {
			m.named[name] = f
		}
		if int(f.number) < len(m.few) {
			m.few[f.number] = f
		}
	}
	for rank, d := range encodingOrder(of) {
		m.fields[d.Index()].rank = rank
	}
}

// formOf returns the form of a message in JSON.
func formOf(of protoreflect.MessageDescriptor) form {
	const maxOneofs = 64 // So many have a bit each.
	if options, ok := of.Options().(*descriptorpb.MessageOptions); ok && options.GetMessageSetWireFormat() {
		return formUnsure
	}
	// Those of optional fields come last.
	if oneofs := of.Oneofs(); oneofs.Len() > maxOneofs && !oneofs.Get(maxOneofs).IsSynthetic() {
		return formUnsure
	}
	if of.FullName().Parent() != "google.protobuf" {
		return formObject
	}
	switch of.Name() {
	case "Any":
		return formAny
	case "Timestamp":
		return formTimestamp
	case "Duration":
		return formDuration
	case "BoolValue", "BytesValue", "DoubleValue", "FloatValue", "Int32Value", "Int64Value", "StringValue", "UInt32Value", "UInt64Value":
		return formWrapper
	case "FieldMask", "ListValue", "Struct", "Value":
		return formUnsure
	default:
		return formObject
	}
}

// encodingOrder returns the fields of a message in the order in which protobuf
// encodes them, where it does so deterministically: by their numbers, those in
// oneofs last.
func encodingOrder(of protoreflect.MessageDescriptor) []protoreflect.FieldDescriptor {
	fields := make([]protoreflect.FieldDescriptor, of.Fields().Len())
	for i := range fields {
		fields[i] = of.Fields().Get(i)
	}
	oneof := func(d protoreflect.FieldDescriptor) int {
		if o := d.ContainingOneof(); o != nil && !o.IsSynthetic() {
			return o.Index()
		}
		return -1
	}
	slices.SortFunc(fields, func(a, b protoreflect.FieldDescriptor) int {
		return cmp.Or(cmp.Compare(oneof(a), oneof(b)), cmp.Compare(a.Number(), b.Number()))
	})
	return fields
}

func (f *field) declare(d protoreflect.FieldDescriptor, get func(protoreflect.MessageDescriptor) *message, enums map[protoreflect.EnumDescriptor]*enum) {
	f.name, f.number, f.kind, f.index = d.JSONName(), d.Number(), d.Kind(), d.Index()
	f.quoted = string(appendQuoted(nil, f.name)) + ":"
	f.wire = wireType(f.kind)
	f.list, f.packed = d.IsList(), d.IsPacked()
	f.implicit = !d.HasPresence() && d.Cardinality() != protoreflect.Repeated
	if oneof := d.ContainingOneof(); oneof != nil && !oneof.IsSynthetic() {
		f.oneof = uint8(oneof.Index() + 1)
	}
	written := f.wire
	if f.packed {
		written = protowire.BytesType
	}
	f.tag = protowire.EncodeTag(f.number, written)
	switch {
	case d.IsMap():
		f.key, f.value = new(field), new(field)
		f.key.declare(d.MapKey(), get, enums)
		f.value.declare(d.MapValue(), get, enums)
		f.key.implicit, f.value.implicit = false, false // Both are always encoded.
	case f.kind == protoreflect.GroupKind:
		f.message = new(message) // It is left to protojson.
	case d.Message() != nil:
		f.message = get(d.Message())
	case d.Enum() != nil:
		f.enum = enumOf(d.Enum(), enums)
	}
}

func enumOf(of protoreflect.EnumDescriptor, known map[protoreflect.EnumDescriptor]*enum) *enum {
	if e := known[of]; e != nil {
		return e
	}
	e := &enum{numbers: make(map[string]int32), quoted: make(map[int32]string)}
	known[of] = e
	if of.FullName() == "google.protobuf.NullValue" {
		return e // It is left to protojson.
	}
	for i := range of.Values().Len() {
		v := of.Values().Get(i)
		number := int32(v.Number())
		e.numbers[string(v.Name())] = number
		if _, known := e.quoted[number]; !known {
			e.quoted[number] = strconv.Quote(string(v.Name()))
		}
	}
	return e
}

func wireType(kind protoreflect.Kind) protowire.Type {
	switch kind {
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return protowire.BytesType
	case protoreflect.GroupKind:
		return protowire.StartGroupType
	case protoreflect.FloatKind, protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind:
		return protowire.Fixed32Type
	case protoreflect.DoubleKind, protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind:
		return protowire.Fixed64Type
	default:
		return protowire.VarintType
	}
}
