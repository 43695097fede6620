package jsonwire

import (
	"bytes"
	"encoding/base64"
	"math"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// valueFromJSON appends a single value with its tag, unless it is zero and that
// isn't encoded.
func (r *run) valueFromJSON(f *field, implicit bool, depth int) bool {
	switch f.kind {
	case protoreflect.MessageKind:
		r.out = protowire.AppendVarint(r.out, f.tag)
		at := r.open()
		if !r.fromJSON(f.message, depth-1) {
			return false
		}
		r.close(at)
		return true
	case protoreflect.StringKind:
		raw, escaped, ok := r.text()
		if !ok || len(raw) == 0 && implicit {
			return ok
		}
		r.out = protowire.AppendVarint(r.out, f.tag)
		if !escaped {
			r.out = append(protowire.AppendVarint(r.out, uint64(len(raw))), raw...)
			return true
		}
		at := r.open()
		if !r.unescape(raw) {
			return false
		}
		r.close(at)
		return true
	case protoreflect.BytesKind:
		raw, ok := r.plain()
		if !ok || len(raw) == 0 && implicit {
			return ok
		}
		r.out = protowire.AppendVarint(r.out, f.tag)
		at := r.open()
		r.out, ok = appendBase64(r.out, raw)
		r.close(at)
		return ok
	case protoreflect.GroupKind:
		return false
	default:
		return r.scalarFromJSON(f, f.tag, implicit)
	}
}

// appendBase64 appends what a text stands for, with either alphabet and with or
// without padding, as protojson takes it.
func appendBase64(dst, text []byte) ([]byte, bool) {
	encoding := base64.StdEncoding
	url, raw := bytes.ContainsAny(text, "-_"), len(text)%4 != 0
	switch {
	case url && raw:
		encoding = base64.RawURLEncoding
	case url:
		encoding = base64.URLEncoding
	case raw:
		encoding = base64.RawStdEncoding
	}
	dst, err := encoding.AppendDecode(dst, text)
	return dst, err == nil
}

// scalarFromJSON appends a number, a bool or an enum, with its tag unless that is 0.
func (r *run) scalarFromJSON(f *field, tag uint64, implicit bool) bool {
	v, ok := r.scalar(f)
	if !ok || v == 0 && implicit {
		return ok
	}
	if tag != 0 {
		r.out = protowire.AppendVarint(r.out, tag)
	}
	r.out = f.appendNumber(r.out, v)
	return true
}

// scalar passes over a number, a bool or an enum and returns its bits.
func (r *run) scalar(f *field) (v uint64, ok bool) {
	switch f.kind {
	case protoreflect.BoolKind:
		if r.next() == 't' {
			return 1, r.literal("true")
		}
		return 0, r.literal("false")
	case protoreflect.FloatKind:
		raw, ok := r.number()
		if !ok {
			return 0, false
		}
		float, err := strconv.ParseFloat(string(raw), 32)
		return uint64(math.Float32bits(float32(float))), err == nil
	case protoreflect.DoubleKind:
		raw, ok := r.number()
		if !ok {
			return 0, false
		}
		float, err := strconv.ParseFloat(string(raw), 64)
		return math.Float64bits(float), err == nil
	default:
		isText := r.next() == '"'
		raw, ok := r.plainOrNumber(isText)
		if !ok {
			return 0, false
		}
		if f.enum != nil && isText {
			number, known := f.enum.numbers[string(raw)]
			return uint64(number), known
		}
		return f.wholeOf(raw)
	}
}

func (r *run) plainOrNumber(isText bool) ([]byte, bool) {
	if isText {
		return r.plain()
	}
	return r.number()
}

// wholeOf returns the bits of a number in the range of a field.
func (f *field) wholeOf(raw []byte) (uint64, bool) {
	negative, v, ok := whole(raw)
	var most uint64
	switch f.kind {
	case protoreflect.EnumKind, protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		most = math.MaxInt32
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		most = math.MaxInt64
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return v, ok && !negative && v <= math.MaxUint32
	default:
		return v, ok && !negative
	}
	if f.enum != nil && len(f.enum.numbers) == 0 { // It is left to protojson.
		return 0, false
	}
	if negative {
		return -v, ok && v <= most+1
	}
	return v, ok && v <= most
}

// signed reports whether the numbers of a field may be below 0.
func (f *field) signed() bool {
	switch f.kind {
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind, protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return false
	default:
		return true
	}
}

// appendNumber appends the bits of a number as a field encodes them. Those of signed
// ones have 64 bits.
func (f *field) appendNumber(dst []byte, v uint64) []byte {
	switch {
	case f.wire == protowire.Fixed32Type:
		return protowire.AppendFixed32(dst, uint32(v))
	case f.wire == protowire.Fixed64Type:
		return protowire.AppendFixed64(dst, v)
	case f.kind == protoreflect.Sint32Kind || f.kind == protoreflect.Sint64Kind:
		v = protowire.EncodeZigZag(int64(v))
	}
	return protowire.AppendVarint(dst, v)
}
