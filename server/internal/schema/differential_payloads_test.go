package schema

import (
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

var someSeconds = []int64{0, 1, 2, 60, -1, -60, 1_700_000_000, 1_800_000_000, minTimestamp, maxTimestamp, minTimestamp - 1, maxTimestamp + 1, maxDuration, -maxDuration, maxDuration + 1, math.MaxInt64, 9_223_372_036, 9_223_372_037}

// payload is an encoding of a message, as encoders write it but for a few fields.
func (i *inventor) payload(message protoreflect.MessageDescriptor, depth int) (data []byte) {
	fields := message.Fields()
	all := 1 + i.IntN(5) // How many of the fields there are: the more, the more often a payload is in order.
	chosen := make(map[protoreflect.FullName]bool)
	for n := range fields.Len() {
		field := fields.Get(n)
		oneof := field.ContainingOneof()
		if field.Message() != nil && depth == 0 || i.one(1+all) && field.Cardinality() != protoreflect.Required ||
			oneof != nil && !oneof.IsSynthetic() && (chosen[oneof.FullName()] && !i.one(20) || i.one(2)) {
			continue
		}
		if oneof != nil {
			chosen[oneof.FullName()] = true
		}
		times := 1
		if i.one(150) {
			times = 2
		}
		for range times {
			data = i.appendField(data, field, depth)
		}
	}
	if i.one(150) { // A field of another number.
		data = protowire.AppendVarint(protowire.AppendTag(data, protowire.Number(1+i.IntN(40)), protowire.VarintType), 1)
	}
	return data
}

func (i *inventor) appendField(data []byte, field protoreflect.FieldDescriptor, depth int) []byte {
	number := field.Number()
	wire, ok := wireType(field.Kind())
	if !ok {
		return data
	}
	if !field.IsList() && !field.IsMap() {
		return i.appendValue(protowire.AppendTag(data, number, wire), field, depth, !field.HasPresence() && !i.one(150))
	}
	count := pick(i, []int{0, 1, 1, 2, 2, 3, 3, 4, 5})
	if i.one(100) {
		count = 70
	}
	if field.IsList() && wire != protowire.BytesType && field.IsPacked() != i.one(20) {
		var packed []byte
		for range count {
			packed = i.appendValue(packed, field, depth, false)
		}
		if count == 0 && !i.one(20) {
			return data
		}
		return protowire.AppendBytes(protowire.AppendTag(data, number, protowire.BytesType), packed)
	}
	for range count {
		data = protowire.AppendTag(data, number, wire)
		if field.IsMap() {
			data = protowire.AppendBytes(data, i.entry(field, depth))
		} else {
			data = i.appendValue(data, field, depth, false)
		}
	}
	return data
}

// entry is that of a map: a key and then a value, as all encoders write it, but for
// a few.
func (i *inventor) entry(field protoreflect.FieldDescriptor, depth int) (data []byte) {
	parts := []protoreflect.FieldDescriptor{field.MapKey(), field.MapValue()}
	if i.one(100) {
		slices.Reverse(parts)
	}
	if i.one(100) {
		parts = parts[:1]
	}
	for _, part := range parts {
		wire, _ := wireType(part.Kind())
		data = i.appendValue(protowire.AppendTag(data, part.Number(), wire), part, depth, false)
	}
	return data
}

// appendValue appends a value, which isn't zero where that isn't encoded.
func (i *inventor) appendValue(data []byte, field protoreflect.FieldDescriptor, depth int, notZero bool) []byte {
	switch kind := field.Kind(); kind {
	case protoreflect.StringKind, protoreflect.BytesKind:
		text := pick(i, someTexts)
		for text == "" && notZero || i.one(3) && text[:min(len(text), 1)] > "z" {
			text = pick(i, someTexts)
		}
		return protowire.AppendString(data, text)
	case protoreflect.MessageKind:
		return protowire.AppendBytes(data, i.held(field.Message(), max(depth-1, 0)))
	default:
		v := i.number(kind)
		for notZero && isZero(v) {
			v = i.number(kind)
		}
		return appendNumber(data, kind, v)
	}
}

func isZero(v protoreflect.Value) bool {
	switch v := v.Interface().(type) {
	case bool:
		return !v
	case int32:
		return v == 0
	case int64:
		return v == 0
	case uint32:
		return v == 0
	case uint64:
		return v == 0
	case float32:
		return math.Float32bits(v) == 0
	case float64:
		return math.Float64bits(v) == 0
	case protoreflect.EnumNumber:
		return v == 0
	default:
		return false
	}
}

func appendNumber(data []byte, kind protoreflect.Kind, v protoreflect.Value) []byte {
	switch kind {
	case protoreflect.BoolKind:
		return protowire.AppendVarint(data, protowire.EncodeBool(v.Bool()))
	case protoreflect.EnumKind:
		return protowire.AppendVarint(data, uint64(v.Enum()))
	case protoreflect.Int32Kind, protoreflect.Int64Kind:
		return protowire.AppendVarint(data, uint64(v.Int()))
	case protoreflect.Sint32Kind, protoreflect.Sint64Kind:
		return protowire.AppendVarint(data, protowire.EncodeZigZag(v.Int()))
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind:
		return protowire.AppendVarint(data, v.Uint())
	case protoreflect.Fixed32Kind:
		return protowire.AppendFixed32(data, uint32(v.Uint()))
	case protoreflect.Sfixed32Kind:
		return protowire.AppendFixed32(data, uint32(v.Int()))
	case protoreflect.Fixed64Kind:
		return protowire.AppendFixed64(data, v.Uint())
	case protoreflect.Sfixed64Kind:
		return protowire.AppendFixed64(data, uint64(v.Int()))
	case protoreflect.FloatKind:
		return protowire.AppendFixed32(data, math.Float32bits(float32(v.Float())))
	default:
		return protowire.AppendFixed64(data, math.Float64bits(v.Float()))
	}
}

// held is a message in another one.
func (i *inventor) held(message protoreflect.MessageDescriptor, depth int) (data []byte) {
	switch message.FullName() {
	case "google.protobuf.Timestamp", "google.protobuf.Duration":
		if seconds := pick(i, someSeconds); seconds != 0 {
			data = protowire.AppendVarint(protowire.AppendTag(data, 1, protowire.VarintType), uint64(seconds))
		}
		if nanos := pick(i, []int64{0, 0, 1, 5, 999_999_999, 1_000_000_000, -1, math.MaxInt64}); nanos != 0 {
			data = protowire.AppendVarint(protowire.AppendTag(data, 2, protowire.VarintType), uint64(nanos))
		}
		return data
	case "google.protobuf.Any":
		if i.one(2) {
			return nil
		}
		return protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), pick(i, []string{"x/google.protobuf.Empty", "x/google.protobuf.Nothing", "x"}))
	default:
		return i.payload(message, depth)
	}
}

// damage changes bytes of a payload.
func (i *inventor) damage(payload []byte) []byte {
	payload = slices.Clone(payload)
	for range 1 + i.IntN(2) {
		if len(payload) == 0 {
			return []byte{byte(i.IntN(256))}
		}
		at := i.IntN(len(payload))
		switch i.IntN(5) {
		case 0:
			payload[at] ^= 1 << i.IntN(8)
		case 1:
			payload[at] = byte(i.IntN(256))
		case 2:
			payload = slices.Delete(payload, at, at+1)
		case 3:
			payload = slices.Insert(payload, at, pick(i, []byte{0, 1, 2, 8, 10, 0x7f, 0x80, 0xff}))
		default:
			payload = payload[:at]
		}
	}
	return payload
}
