package precheck

import (
	"math"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// place is an expression for a value that lies in a slot: of a field, of an element
// of a list, or of the message with the rule.
type place struct {
	get        func(r *run) (slot, bool)
	descriptor protoreflect.FieldDescriptor // nil: the message itself.
	element    bool                         // Of the list that the field is.
	message    *message                     // nil: it is none.
	items      *message                     // Of a list: what its elements are. nil: no messages.
	keys       int16                        // Of a map: the slot of the keys in the frames of its entries.
}

func (p place) isList() bool { return p.descriptor != nil && p.descriptor.IsList() && !p.element }

func (p place) isMap() bool { return p.descriptor != nil && p.descriptor.IsMap() }

// elementAt is what a loop over a list or a map meets: elements, or keys.
func (p place) elementAt(get func(r *run) (slot, bool)) place {
	if p.isMap() {
		return place{descriptor: p.descriptor.MapKey(), element: true, get: get}
	}
	return place{descriptor: p.descriptor, element: true, message: p.items, get: get}
}

// met is the element in an item of a list, or the key in one of a map.
func (p place) met(r *run, i item) slot {
	if p.isMap() {
		return r.get(int(i.value), p.keys)
	}
	return slot{value: i.value, extra: i.extra, set: true}
}

// isMessage reports whether the value is a message that isn't unwrapped.
func (p place) isMessage() bool { return p.message != nil && !p.isList() && !p.isMap() }

// field is the place of a field of a message. Its get is nil where there is none.
func (p place) field(d protoreflect.FieldDescriptor) place {
	f := p.message.find(uint32(d.Number()))
	if f == nil || d.IsMap() && f.form == formNone {
		return place{}
	}
	at := p.message.capture(f)
	f.keep = true
	of := p.get
	made := place{descriptor: d, get: func(r *run) (slot, bool) {
		s, ok := of(r)
		return r.get(s.frame(), at), ok
	}}
	switch {
	case d.IsMap():
		made.keys = p.message.distinct(f)
	case d.IsList():
		made.items = f.message
	default:
		made.message = f.message
	}
	return made
}

// distinct has the entries of a map kept, and puts in doubt two with one key, which are
// one. It returns the slot of their keys.
func (m *message) distinct(f *field) int16 {
	key := &f.message.fields[0]
	at := f.message.capture(key)
	for i := range m.lists {
		if m.lists[i].slot == f.slot {
			m.lists[i].unique, m.lists[i].of, m.lists[i].keys = true, key.form, at
			return at
		}
	}
	m.lists = append(m.lists, listRule{slot: f.slot, max: math.MaxUint64, unique: true, of: key.form, isMap: true, keys: at})
	return at
}

// typed is a compiled expression: one of these. All are nil where it isn't known.
type typed struct {
	bool     expr[bool]
	int      expr[int64]
	uint     expr[uint64]
	double   expr[float64]
	text     expr[[]byte]
	bytes    expr[[]byte]
	time     expr[instant]
	duration expr[instant]
	place    *place // Of a message or a list.
}

// value is what a place holds, as CEL has it.
func (p place) value() typed {
	switch {
	case p.get == nil:
		return typed{}
	case p.descriptor == nil || p.isList() || p.isMap():
		return typed{place: &p}
	}
	get, d := p.get, p.descriptor
	standard := protoreflect.Value{} // Where there is none.
	if !p.element {
		standard = d.Default()
	}
	switch d.Kind() {
	case protoreflect.BoolKind:
		return typed{bool: number(get, func(bits uint64) bool { return bits != 0 }, standard.IsValid() && standard.Bool())}
	case protoreflect.StringKind:
		return typed{text: view(get, defaultBytes(standard))}
	case protoreflect.BytesKind:
		return typed{bytes: view(get, defaultBytes(standard))}
	case protoreflect.EnumKind:
		return typed{int: number(get, func(bits uint64) int64 { return int64(bits) }, defaultOf(standard, func(v protoreflect.Value) int64 { return int64(v.Enum()) }))}
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return typed{double: number(get, fromBits, defaultOf(standard, protoreflect.Value.Float))}
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind, protoreflect.Fixed32Kind, protoreflect.Fixed64Kind:
		return typed{uint: number(get, func(bits uint64) uint64 { return bits }, defaultOf(standard, protoreflect.Value.Uint))}
	case protoreflect.MessageKind:
		return p.messageValue()
	case protoreflect.GroupKind:
		return typed{}
	default:
		return typed{int: number(get, func(bits uint64) int64 { return int64(bits) }, defaultOf(standard, protoreflect.Value.Int))}
	}
}

// messageValue is a message, or what CEL makes of it.
func (p place) messageValue() typed {
	get := p.get
	at := func(r *run) (instant, bool) {
		s, ok := get(r)
		return instant{int64(s.value), s.extra}, ok
	}
	switch name := p.descriptor.Message().FullName(); {
	case name == timestampName:
		return typed{time: at}
	case name == durationName:
		return typed{duration: func(r *run) (instant, bool) {
			i, ok := at(r)
			return i, ok && i.computed()
		}}
	case isWrapper(p.descriptor.Message()), p.descriptor.Message().ParentFile().Package() == "google.protobuf":
		return typed{} // CEL has values of its own for them.
	default:
		return typed{place: &p}
	}
}

// defaultOf is the value of a field that isn't there: zero, unless proto2 says another.
func defaultOf[T any](standard protoreflect.Value, of func(protoreflect.Value) T) (zero T) {
	if !standard.IsValid() {
		return zero
	}
	return of(standard)
}

func defaultBytes(standard protoreflect.Value) []byte {
	switch v := standard.Interface().(type) {
	case string:
		return []byte(v)
	case []byte:
		return v
	default:
		return nil
	}
}

func number[T any](get func(*run) (slot, bool), from func(uint64) T, otherwise T) expr[T] {
	return func(r *run) (T, bool) {
		s, ok := get(r)
		if !s.set {
			return otherwise, ok
		}
		return from(s.value), ok
	}
}

func view(get func(*run) (slot, bool), otherwise []byte) expr[[]byte] {
	return func(r *run) ([]byte, bool) {
		s, ok := get(r)
		if !s.set {
			return otherwise, ok
		}
		return r.view(s), ok
	}
}
