package schema

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// hyperpb reads memory that isn't its own where lengths are out of bounds, and
// refuses some encodings that are right, both in fields that it doesn't know. So
// it is given only what is plain: well-formed, with no field but those of the
// type, each in a form that encoders write. Protobuf's own parser decides about
// the rest.

// plain knows the fields of a message.
type plain struct {
	low  []plainField // By number, up to maxLow.
	high map[protowire.Number]plainField
}

const maxLow = 64

// plainField is a field as it may be encoded. The zero value is no field.
type plainField struct {
	known   bool
	wire    protowire.Type // Of one value.
	packed  bool           // Values may also come packed.
	message *plain         // Of a message or a map's entry.
}

// newPlain makes the plain of a message; made holds those of the messages above
// it, which it may hold again.
func newPlain(message protoreflect.MessageDescriptor, made map[protoreflect.FullName]*plain) *plain {
	if p, ok := made[message.FullName()]; ok {
		return p
	}
	p := &plain{low: make([]plainField, maxLow), high: make(map[protowire.Number]plainField)}
	made[message.FullName()] = p
	fields := message.Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		wire, ok := wireType(field.Kind())
		if !ok {
			continue // A group: protobuf's own parser reads it.
		}
		f := plainField{known: true, wire: wire, packed: field.IsList() && wire != protowire.BytesType}
		if field.Message() != nil {
			f.message = newPlain(field.Message(), made)
		}
		if field.Number() < maxLow {
			p.low[field.Number()] = f
		} else {
			p.high[field.Number()] = f
		}
	}
	return p
}

func wireType(kind protoreflect.Kind) (protowire.Type, bool) {
	switch kind {
	case protoreflect.GroupKind:
		return 0, false
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return protowire.BytesType, true
	case protoreflect.DoubleKind, protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind:
		return protowire.Fixed64Type, true
	case protoreflect.FloatKind, protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind:
		return protowire.Fixed32Type, true
	default:
		return protowire.VarintType, true
	}
}

func (p *plain) field(number protowire.Number) plainField {
	if number < maxLow {
		return p.low[number]
	}
	return p.high[number]
}

// holds says whether an encoded message is plain, nested at most so deep.
func (p *plain) holds(data []byte, depth int) bool {
	if depth == 0 {
		return false
	}
	for len(data) > 0 {
		tag, n := protowire.ConsumeVarint(data)
		if n < 0 || n != protowire.SizeVarint(tag) || tag > math.MaxUint32 {
			return false
		}
		data = data[n:]
		number, wire := protowire.DecodeTag(tag)
		if number < protowire.MinValidNumber {
			return false
		}
		field := p.field(number)
		if !field.known {
			return false
		}
		switch {
		case wire == protowire.BytesType && field.packed:
			values, n := protowire.ConsumeBytes(data)
			if n < 0 || !plainValues(values, field.wire) {
				return false
			}
			data = data[n:]
		case wire != field.wire:
			return false
		case wire == protowire.BytesType:
			value, n := protowire.ConsumeBytes(data)
			if n < 0 || field.message != nil && !field.message.holds(value, depth-1) {
				return false
			}
			data = data[n:]
		default:
			n := protowire.ConsumeFieldValue(number, wire, data)
			if n < 0 {
				return false
			}
			data = data[n:]
		}
	}
	return true
}

// plainValues says whether packed values are well-formed.
func plainValues(values []byte, wire protowire.Type) bool {
	for len(values) > 0 {
		n := protowire.ConsumeFieldValue(1, wire, values)
		if n < 0 {
			return false
		}
		values = values[n:]
	}
	return true
}
