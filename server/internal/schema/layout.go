package schema

import (
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// hyperpb reads memory that isn't its own where lengths are out of bounds, and
// refuses some encodings that are right, both in fields that it doesn't know. And
// where a second member of a oneof follows another, it takes the memory of the
// first for that of the second, whose type is another; where a key follows the
// value of a map's entry, it goes on with memory that isn't its own. So it is
// given only what is regular: well-formed, with no field but those of the type,
// each in a form that encoders write, nothing that has to be merged, and entries
// with a key and then a value. Protobuf's own parser decides about the rest.

// layout knows the fields of a message.
type layout struct {
	low   []fieldLayout // By number, up to maxLow.
	high  map[protowire.Number]fieldLayout
	entry bool // Of a map.
}

const (
	// maxLength is how many bytes a tag and a length have at most: not every
	// library takes more, even where they say the same.
	maxLength = 5
	maxLow    = 64
	// The numbers of the fields of a map's entry.
	entryKey   = 1
	entryValue = 2
)

// fieldLayout is a field as it may be encoded. The zero value is no field.
type fieldLayout struct {
	known   bool
	wire    protowire.Type // Of one value.
	packed  bool           // Values may also come packed.
	message *layout        // Of a message or a map's entry.
	once    uint8          // Not 0: of the fields with this number only one may come, once.
	// What its values have to be, where protobuf's parsers don't ask for it.
	text   bool                              // UTF-8.
	values protoreflect.EnumValueDescriptors // One of those of a closed enum. nil: not asked for.
}

// holds reports whether a value is what it has to be.
func (f *fieldLayout) holds(value []byte) bool {
	switch {
	case f.text:
		return utf8.Valid(value)
	case f.values != nil:
		number, _ := protowire.ConsumeVarint(value)
		return f.values.ByNumber(enumNumber(number)) != nil
	default:
		return true
	}
}

// seen says which fields that may come once have come, by their number.
type seen [256 / 64]uint64

// add returns false where one had come.
func (s *seen) add(once uint8) bool {
	bit := uint64(1) << (once % 64)
	word := &s[once/64]
	before := *word & bit
	*word |= bit
	return before == 0
}

// newLayout makes the layout of a message; made holds those of the messages above
// it, which it may hold again.
func newLayout(message protoreflect.MessageDescriptor, made map[protoreflect.FullName]*layout) *layout {
	if p, ok := made[message.FullName()]; ok {
		return p
	}
	p := &layout{low: make([]fieldLayout, maxLow), high: make(map[protowire.Number]fieldLayout), entry: message.IsMapEntry()}
	made[message.FullName()] = p
	fields := message.Fields()
	onces := make(map[protoreflect.FullName]uint8)
	count := uint8(0)
	for i := range fields.Len() {
		field := fields.Get(i)
		wire, ok := wireType(field.Kind())
		if !ok {
			continue // A group: protobuf's own parser reads it.
		}
		f := fieldLayout{known: true, wire: wire, packed: field.IsList() && wire != protowire.BytesType}
		if field.Message() != nil {
			f.message = newLayout(field.Message(), made)
		}
		f.text = field.Kind() == protoreflect.StringKind && !enforcesUTF8(field)
		if field.Kind() == protoreflect.EnumKind && field.Enum().IsClosed() {
			f.values = field.Enum().Values()
		}
		if name, ok := onceName(field); ok {
			if onces[name] == 0 {
				// With more than 255 some share a number, and a message with
				// several of those isn't regular.
				count = count%math.MaxUint8 + 1
				onces[name] = count
			}
			f.once = onces[name]
		}
		if field.Number() < maxLow {
			p.low[field.Number()] = f
		} else {
			p.high[field.Number()] = f
		}
	}
	return p
}

// onceName returns the name of what may come once in a message: of the field's
// oneof, or of the field itself where it holds one message.
func onceName(field protoreflect.FieldDescriptor) (protoreflect.FullName, bool) {
	oneof := field.ContainingOneof()
	switch {
	case oneof != nil && !oneof.IsSynthetic():
		return oneof.FullName(), true
	case field.Message() != nil && field.Cardinality() != protoreflect.Repeated:
		return field.FullName(), true
	default:
		return "", false
	}
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

func (p *layout) field(number protowire.Number) fieldLayout {
	if number < maxLow {
		return p.low[number]
	}
	return p.high[number]
}

// holds reports whether an encoded message is regular, nested at most so deep.
func (p *layout) holds(data []byte, depth int) bool {
	if depth == 0 {
		return false
	}
	var seen seen
	last := protowire.Number(0)
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
		if !field.known || field.once != 0 && !seen.add(field.once) || p.entry && number != last+1 {
			return false
		}
		last = number
		switch {
		case wire == protowire.BytesType && field.packed:
			values, n := protowire.ConsumeBytes(data)
			if n < 0 || n-len(values) > maxLength || !regularValues(values, &field) {
				return false
			}
			data = data[n:]
		case wire != field.wire:
			return false
		case wire == protowire.BytesType:
			value, n := protowire.ConsumeBytes(data)
			if n < 0 || n-len(value) > maxLength || field.message != nil && !field.message.holds(value, depth-1) || field.text && !field.holds(value) {
				return false
			}
			data = data[n:]
		default:
			n := protowire.ConsumeFieldValue(number, wire, data)
			if n < 0 || field.values != nil && !field.holds(data[:n]) {
				return false
			}
			data = data[n:]
		}
	}
	return !p.entry || last == entryValue
}

// regularValues reports whether packed values are well-formed and what they have to
// be.
func regularValues(values []byte, field *fieldLayout) bool {
	for len(values) > 0 {
		n := protowire.ConsumeFieldValue(1, field.wire, values)
		if n < 0 || field.values != nil && !field.holds(values[:n]) {
			return false
		}
		values = values[n:]
	}
	return true
}
