package jsonwire

import (
	"bytes"
	"encoding/base64"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// toJSON appends an encoded message in JSON.
func (r *run) toJSON(m *message, encoded []byte, depth int) bool {
	if depth == 0 {
		return false
	}
	switch m.form {
	case formObject:
		r.out = append(r.out, '{')
		ok := r.fieldsToJSON(m, encoded, depth)
		r.out = append(r.out, '}')
		return ok
	case formAny:
		return !r.inPayload && r.payloadToJSON(encoded, depth)
	case formTimestamp:
		return r.timestampToJSON(encoded)
	case formDuration:
		return r.durationToJSON(encoded)
	case formWrapper:
		return r.wrapperToJSON(m, encoded)
	default:
		return false
	}
}

// fieldsToJSON appends the members of a message's object.
func (r *run) fieldsToJSON(m *message, encoded []byte, depth int) bool {
	base, begin := len(r.parts), len(r.out)
	var oneofs uint64
	for len(encoded) > 0 {
		number, wire, n := tagOf(encoded)
		f := m.numbered(number)
		if n < 0 || f == nil || len(r.parts)-base == len(m.fields) { // Then one comes twice.
			return false
		}
		if f.oneof > 0 {
			bit := uint64(1) << (f.oneof - 1)
			if oneofs&bit != 0 {
				return false
			}
			oneofs |= bit
		}
		if len(r.parts) > base {
			r.out = append(r.out, ',')
		}
		p := part{begin: len(r.out), order: uint64(f.index)}
		r.out = append(r.out, f.quoted...)
		ok := false
		switch {
		case f.key != nil:
			encoded, ok = r.mapToJSON(f, encoded, depth)
		case f.list:
			encoded, ok = r.listToJSON(f, encoded, depth)
		case wire == f.wire:
			encoded, ok = r.valueToJSON(f, encoded[n:], f.implicit, depth)
		}
		if !ok {
			return false
		}
		p.end = len(r.out)
		r.parts = append(r.parts, p)
	}
	return r.arrange(base, begin, []byte(","))
}

// tagOf reads the tag that comes next. n is below 0 where there is none.
func tagOf(encoded []byte) (number protowire.Number, wire protowire.Type, n int) {
	if encoded[0] < 0x80 && encoded[0] >= 8 {
		return protowire.Number(encoded[0] >> 3), protowire.Type(encoded[0] & 7), 1
	}
	return protowire.ConsumeTag(encoded)
}

// listToJSON appends the elements of a list that follow one another, and returns what
// comes after them.
func (r *run) listToJSON(f *field, encoded []byte, depth int) (rest []byte, ok bool) {
	r.out = append(r.out, '[')
	for first := true; len(encoded) > 0; first = false {
		number, wire, n := tagOf(encoded)
		if n < 0 || number != f.number {
			break
		}
		if !first {
			r.out = append(r.out, ',')
		}
		switch wire {
		case f.wire:
			encoded, ok = r.valueToJSON(f, encoded[n:], false, depth)
		case protowire.BytesType:
			var packed []byte
			if packed, encoded, ok = withLength(encoded[n:]); ok {
				ok = r.packedToJSON(f, packed, depth)
			}
		default:
			return nil, false
		}
		if !ok {
			return nil, false
		}
	}
	r.out = append(r.out, ']')
	return encoded, true
}

// packedToJSON appends the elements of a packed list, of which there is at least one.
func (r *run) packedToJSON(f *field, packed []byte, depth int) bool {
	for {
		rest, ok := r.valueToJSON(f, packed, false, depth)
		if !ok || len(rest) == 0 {
			return ok
		}
		packed = rest
		r.out = append(r.out, ',')
	}
}

// withLength reads a value that begins with its length.
func withLength(encoded []byte) (value, rest []byte, ok bool) {
	if len(encoded) > 0 && encoded[0] < 0x80 {
		end := 1 + int(encoded[0])
		if end > len(encoded) {
			return nil, nil, false
		}
		return encoded[1:end], encoded[end:], true
	}
	value, n := protowire.ConsumeBytes(encoded)
	if n < 0 {
		return nil, nil, false
	}
	return value, encoded[n:], true
}

// mapToJSON appends the entries of a map that follow one another, in the order of
// their keys, and returns what comes after them.
func (r *run) mapToJSON(f *field, encoded []byte, depth int) (rest []byte, ok bool) {
	r.out = append(r.out, '{')
	base, begin := len(r.parts), len(r.out)
	for len(encoded) > 0 {
		number, wire, n := tagOf(encoded)
		if n < 0 || number != f.number {
			break
		}
		if wire != protowire.BytesType || len(r.parts) == maxParts {
			return nil, false
		}
		var entry []byte
		if entry, encoded, ok = withLength(encoded[n:]); !ok {
			return nil, false
		}
		if len(r.parts) > base {
			r.out = append(r.out, ',')
		}
		if !r.entryToJSON(f, entry, depth-1) {
			return nil, false
		}
	}
	ok = r.arrange(base, begin, []byte(","))
	r.out = append(r.out, '}')
	return encoded, ok
}

// entryToJSON appends an entry of a map, which is a key and then a value.
func (r *run) entryToJSON(f *field, entry []byte, depth int) bool {
	p := part{begin: len(r.out)}
	if len(entry) == 0 || uint64(entry[0]) != f.key.tag {
		return false
	}
	entry, ok := r.keyToJSON(f.key, entry[1:], &p)
	if !ok || len(entry) == 0 || uint64(entry[0]) != f.value.tag {
		return false
	}
	r.out = append(r.out, ':')
	entry, ok = r.valueToJSON(f.value, entry[1:], false, depth)
	if !ok || len(entry) > 0 {
		return false
	}
	p.end = len(r.out)
	r.parts = append(r.parts, p)
	return true
}

// keyToJSON appends the key of a map's entry, and notes what gives its order.
func (r *run) keyToJSON(f *field, encoded []byte, p *part) (rest []byte, ok bool) {
	if f.kind == protoreflect.StringKind {
		key, rest, ok := withLength(encoded)
		if !ok {
			return nil, false
		}
		p.key = key
		r.out, ok = appendText(r.out, key)
		return rest, ok
	}
	v, rest, ok := f.numberOf(encoded)
	if !ok {
		return nil, false
	}
	if p.order = v; f.signed() {
		p.order ^= 1 << 63
	}
	if f.is64() {
		r.out = f.appendDecimal(r.out, v)
		return rest, true
	}
	r.out = append(r.out, '"')
	r.out = f.appendDecimal(r.out, v)
	r.out = append(r.out, '"')
	return rest, true
}

// payloadToJSON appends the Any of an event.
func (r *run) payloadToJSON(encoded []byte, depth int) (ok bool) {
	base, begin := len(r.parts), len(r.out)
	if r.anyToJSON(encoded, depth) {
		return true
	}
	if r.types.show == nil {
		return false
	}
	clear(r.parts[base:])
	r.parts, r.inPayload = r.parts[:base], false
	r.out, ok = r.types.show(r.out[:begin], encoded)
	return ok
}

// anyToJSON appends an Any that has a type URL and then, if any, a value.
func (r *run) anyToJSON(encoded []byte, depth int) bool {
	const typeURL, value = 1<<3 | byte(protowire.BytesType), 2<<3 | byte(protowire.BytesType)
	if len(encoded) == 0 || encoded[0] != typeURL {
		return false
	}
	url, encoded, ok := withLength(encoded[1:])
	if !ok || len(url) == 0 {
		return false
	}
	m := r.types.payload(url[bytes.LastIndexByte(url, '/')+1:])
	if m != nil && (m.form != formObject || m.empty) {
		return false
	}
	var content []byte
	if len(encoded) > 0 {
		if encoded[0] != value {
			return false
		}
		if content, encoded, ok = withLength(encoded[1:]); !ok || len(encoded) > 0 {
			return false
		}
	}
	if m == nil {
		return r.opaque(url, content)
	}
	r.out = append(r.out, `{"@type":`...)
	if r.out, ok = appendText(r.out, url); !ok {
		return false
	}
	if len(content) > 0 {
		r.out = append(r.out, ',')
		r.inPayload = true
		if !r.fieldsToJSON(m, content, depth-1) {
			return false
		}
		r.inPayload = false
	}
	r.out = append(r.out, '}')
	return true
}

// opaque appends a payload whose type isn't known as eventjson does: its encoding in
// base64. It does so where the type URL is the same in every form of JSON.
func (r *run) opaque(url, content []byte) bool {
	for _, c := range url {
		if c <= ' ' || c > '~' || strings.IndexByte(`"&<>\`, c) >= 0 {
			return false
		}
	}
	r.out = append(append(append(r.out, `{"@type":"`...), url...), `","value":"`...)
	r.out = append(base64.StdEncoding.AppendEncode(r.out, content), `"}`...)
	return true
}
