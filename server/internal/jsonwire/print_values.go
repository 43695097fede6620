package jsonwire

import (
	"encoding/base64"
	"math"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// valueToJSON appends a single value that comes next, without its tag, and returns
// what comes after it. A zero that isn't encoded isn't known here.
func (r *run) valueToJSON(f *field, encoded []byte, implicit bool, depth int) (rest []byte, ok bool) {
	if f.wire != protowire.BytesType {
		v, rest, ok := f.numberOf(encoded)
		if !ok || v == 0 && implicit {
			return nil, false
		}
		ok = r.numberToJSON(f, v)
		return rest, ok
	}
	value, rest, ok := withLength(encoded)
	if !ok || len(value) == 0 && implicit {
		return nil, false
	}
	switch f.kind {
	case protoreflect.StringKind:
		r.out, ok = appendText(r.out, value)
	case protoreflect.BytesKind:
		r.out = append(r.out, '"')
		r.out = base64.StdEncoding.AppendEncode(r.out, value)
		r.out = append(r.out, '"')
	case protoreflect.MessageKind:
		ok = r.toJSON(f.message, value, depth-1)
	default:
		return nil, false
	}
	return rest, ok
}

// numberOf reads a number as a field encodes it. Of signed ones it returns 64 bits.
// What is out of the field's range isn't known.
func (f *field) numberOf(encoded []byte) (v uint64, rest []byte, ok bool) {
	var n int
	switch f.wire {
	case protowire.Fixed32Type:
		var short uint32
		if short, n = protowire.ConsumeFixed32(encoded); f.kind == protoreflect.Sfixed32Kind {
			v = uint64(int32(short))
		} else {
			v = uint64(short)
		}
	case protowire.Fixed64Type:
		v, n = protowire.ConsumeFixed64(encoded)
	case protowire.VarintType:
		v, n = protowire.ConsumeVarint(encoded)
	default:
		return 0, nil, false
	}
	if n < 0 {
		return 0, nil, false
	}
	inRange := true
	switch f.kind {
	case protoreflect.BoolKind:
		inRange = v <= 1
	case protoreflect.Uint32Kind:
		inRange = v <= math.MaxUint32
	case protoreflect.Int32Kind, protoreflect.EnumKind:
		inRange = v == uint64(int32(v))
	case protoreflect.Sint32Kind:
		inRange = v <= math.MaxUint32
		v = uint64(protowire.DecodeZigZag(v))
	case protoreflect.Sint64Kind:
		v = uint64(protowire.DecodeZigZag(v))
	default:
	}
	return v, encoded[n:], inRange
}

// numberToJSON appends a number, a bool or an enum.
func (r *run) numberToJSON(f *field, v uint64) bool {
	switch f.kind {
	case protoreflect.FloatKind:
		r.out = appendFloat(r.out, float64(math.Float32frombits(uint32(v))), 32)
	case protoreflect.DoubleKind:
		r.out = appendFloat(r.out, math.Float64frombits(v), 64)
	case protoreflect.EnumKind:
		quoted, known := f.enum.quoted[int32(v)]
		r.out = append(r.out, quoted...)
		return known
	default:
		r.out = f.appendDecimal(r.out, v)
	}
	return true
}

// appendDecimal appends a whole number or a bool, in quotation marks where it has 64
// bits.
func (f *field) appendDecimal(dst []byte, v uint64) []byte {
	switch {
	case f.kind == protoreflect.BoolKind:
		return strconv.AppendBool(dst, v != 0)
	case f.is64():
		dst = append(dst, '"')
		return append(f.appendDigits(dst, v), '"')
	default:
		return f.appendDigits(dst, v)
	}
}

func (f *field) appendDigits(dst []byte, v uint64) []byte {
	if f.signed() {
		return strconv.AppendInt(dst, int64(v), 10)
	}
	return strconv.AppendUint(dst, v, 10)
}

// is64 reports whether a field holds whole numbers of 64 bits.
func (f *field) is64() bool {
	switch f.kind {
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind, protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return true
	default:
		return false
	}
}

// appendFloat appends a number with the digits that tell it from others, as
// encoding/json does.
func appendFloat(dst []byte, v float64, bits int) []byte {
	switch {
	case math.IsNaN(v):
		return append(dst, `"NaN"`...)
	case math.IsInf(v, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(v, -1):
		return append(dst, `"-Infinity"`...)
	}
	format := byte('f')
	size := math.Abs(v)
	if bits == 32 {
		if short := float32(size); short != 0 && (short < 1e-6 || short >= 1e21) {
			format = 'e'
		}
	} else if size != 0 && (size < 1e-6 || size >= 1e21) {
		format = 'e'
	}
	dst = strconv.AppendFloat(dst, v, format, -1, bits)
	// Of an exponent such as e-07 the zero is left out.
	if n := len(dst); format == 'e' && n >= 4 && string(dst[n-4:n-1]) == "e-0" {
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst
}

// appendText appends a text as JSON has it, and reports whether it is UTF-8.
func appendText(dst, text []byte) ([]byte, bool) {
	dst = append(dst, '"')
	for at, ascii := 0, true; ; {
		next := special(text, at)
		dst = append(dst, text[at:next]...)
		if next == len(text) {
			return append(dst, '"'), ascii || utf8.Valid(text)
		}
		if at = next + 1; text[next] < utf8.RuneSelf {
			dst = appendEscape(dst, text[next])
		} else {
			dst, ascii = append(dst, text[next]), false
		}
	}
}

func appendQuoted(dst []byte, text string) []byte {
	dst, _ = appendText(dst, []byte(text))
	return dst
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, `\b`...)
	case '\f':
		return append(dst, `\f`...)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	default:
		const hex = "0123456789abcdef"
		return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
	}
}

// wrapperToJSON appends the value of a wrapper, which may be zero.
func (r *run) wrapperToJSON(m *message, encoded []byte) bool {
	f := &m.fields[0]
	if len(encoded) > 0 {
		if uint64(encoded[0]) != f.tag {
			return false
		}
		rest, ok := r.valueToJSON(f, encoded[1:], false, 1)
		return ok && len(rest) == 0
	}
	if f.wire == protowire.BytesType {
		r.out = append(r.out, `""`...)
		return true
	}
	return r.numberToJSON(f, 0)
}
