package precheck

import (
	"strconv"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// path leads to the field with the partition key.
type path struct {
	slots []int16 // From message to message.
	last  protoreflect.FieldDescriptor
}

// newPath returns nil where the key can't be found.
func newPath(m *message, fields []protoreflect.FieldDescriptor) *path {
	p := &path{last: fields[len(fields)-1]}
	for _, d := range fields {
		if m == nil {
			return nil // Inside of a time.
		}
		f := m.find(uint32(d.Number()))
		if f == nil {
			return nil // An Any holds nothing that is trusted.
		}
		p.slots = append(p.slots, m.capture(f))
		f.keep = true
		m = f.message
	}
	return p
}

// append appends the key that a payload has, if any.
func (p *path) append(r *run, frame int, key []byte) []byte {
	last := len(p.slots) - 1
	for _, at := range p.slots[:last] {
		frame = r.get(frame, at).frame()
	}
	s := r.get(frame, p.slots[last])
	if !s.set {
		return key
	}
	switch p.last.Kind() {
	case protoreflect.StringKind:
		return append(key, r.view(s)...)
	case protoreflect.BoolKind:
		return strconv.AppendBool(key, s.value != 0)
	case protoreflect.EnumKind:
		if v := p.last.Enum().Values().ByNumber(protoreflect.EnumNumber(s.value)); v != nil {
			return append(key, v.Name()...)
		}
		return strconv.AppendInt(key, int64(s.value), 10)
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind, protoreflect.Fixed32Kind, protoreflect.Fixed64Kind:
		return strconv.AppendUint(key, s.value, 10)
	default:
		return strconv.AppendInt(key, int64(s.value), 10)
	}
}
