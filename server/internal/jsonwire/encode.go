package jsonwire

import (
	"bytes"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// fromJSON appends the encoding of a message that comes next in JSON, without its
// tag and its length.
func (r *run) fromJSON(m *message, depth int) bool {
	if depth == 0 {
		return false
	}
	switch m.form {
	case formObject:
		return r.take('{') && r.members(m, depth, false)
	case formAny:
		return !r.inPayload && r.anyFromJSON(depth)
	case formTimestamp:
		return r.timestampFromJSON()
	case formDuration:
		return r.durationFromJSON()
	case formWrapper:
		return r.valueFromJSON(&m.fields[0], true, depth)
	default:
		return false
	}
}

// members appends the fields of a message, up to the end of its object. Where the
// message is what an Any holds, its type is passed over.
func (r *run) members(m *message, depth int, inAny bool) bool {
	base, begin := len(r.parts), len(r.out)
	var oneofs uint64
	expected := 0
	for more := r.next() != '}'; more; more = r.take(',') {
		f, isType := r.name(m, expected)
		if isType && inAny {
			inAny = false // It comes once.
			if _, ok := r.plain(); !ok {
				return false
			}
			continue
		}
		if f == nil || len(r.parts)-base == len(m.fields) { // Then one comes twice.
			return false
		}
		expected = f.index + 1
		p := part{begin: len(r.out), order: uint64(f.rank)}
		if r.next() == 'n' {
			if f.takesNull() || !r.literal("null") {
				return false
			}
		} else {
			if f.oneof > 0 {
				bit := uint64(1) << (f.oneof - 1)
				if oneofs&bit != 0 {
					return false
				}
				oneofs |= bit
			}
			if !r.fieldFromJSON(f, depth) {
				return false
			}
		}
		p.end = len(r.out)
		r.parts = append(r.parts, p)
	}
	return r.take('}') && r.arrange(base, begin, nil)
}

// name passes over the name of a member and its colon, and returns the field. It
// tries one that may be the next one first.
func (r *run) name(m *message, expected int) (f *field, isType bool) {
	raw, ok := r.plain()
	if !ok || !r.take(':') {
		return nil, false
	}
	if expected < len(m.fields) && string(raw) == m.fields[expected].name {
		return &m.fields[expected], false
	}
	return m.named[string(raw)], string(raw) == typeName
}

// takesNull reports whether null may be a value of a field.
func (f *field) takesNull() bool {
	return f.message != nil && f.message.form == formUnsure || f.enum != nil && len(f.enum.numbers) == 0
}

func (r *run) fieldFromJSON(f *field, depth int) bool {
	switch {
	case f.key != nil:
		return r.mapFromJSON(f, depth)
	case f.list:
		return r.listFromJSON(f, depth)
	default:
		return r.valueFromJSON(f, f.implicit, depth)
	}
}

func (r *run) listFromJSON(f *field, depth int) bool {
	if !r.take('[') {
		return false
	}
	if r.take(']') {
		return true
	}
	at := 0
	if f.packed {
		r.out = protowire.AppendVarint(r.out, f.tag)
		at = r.open()
	}
	for {
		var ok bool
		if f.packed {
			ok = r.scalarFromJSON(f, 0, false)
		} else {
			ok = r.valueFromJSON(f, false, depth)
		}
		if !ok {
			return false
		}
		if !r.take(',') {
			break
		}
	}
	if f.packed {
		r.close(at)
	}
	return r.take(']')
}

func (r *run) mapFromJSON(f *field, depth int) bool {
	if !r.take('{') {
		return false
	}
	base, begin := len(r.parts), len(r.out)
	for more := r.next() != '}'; more; more = r.take(',') {
		if len(r.parts) == maxParts {
			return false
		}
		p := part{begin: len(r.out)}
		r.out = protowire.AppendVarint(r.out, f.tag)
		at := r.open()
		if !r.keyFromJSON(f.key, &p) || !r.take(':') || !r.valueFromJSON(f.value, false, depth-1) {
			return false
		}
		r.close(at)
		p.end = len(r.out)
		r.parts = append(r.parts, p)
	}
	return r.take('}') && r.arrange(base, begin, nil)
}

// keyFromJSON appends the key of a map's entry, and notes what gives its order.
func (r *run) keyFromJSON(f *field, p *part) bool {
	if f.kind == protoreflect.StringKind {
		raw, escaped, ok := r.text()
		if !ok {
			return false
		}
		r.out = protowire.AppendVarint(r.out, f.tag)
		at := r.open()
		if p.key = raw; !escaped {
			r.out = append(r.out, raw...)
		} else if !r.unescape(raw) {
			return false
		} else {
			p.key = bytes.Clone(r.out[at+1:])
		}
		r.close(at)
		return true
	}
	raw, ok := r.plain()
	if !ok {
		return false
	}
	if f.kind == protoreflect.BoolKind {
		isTrue := string(raw) == "true"
		if !isTrue && string(raw) != "false" {
			return false
		}
		p.order = protowire.EncodeBool(isTrue)
		r.out = append(protowire.AppendVarint(r.out, f.tag), byte(p.order))
		return true
	}
	v, ok := f.wholeOf(raw)
	if !ok {
		return false
	}
	if p.order = v; f.signed() {
		p.order ^= 1 << 63
	}
	r.out = f.appendNumber(protowire.AppendVarint(r.out, f.tag), v)
	return true
}

// anyFromJSON appends an Any.
func (r *run) anyFromJSON(depth int) bool {
	if !r.take('{') {
		return false
	}
	url, ok := r.typeURL()
	if !ok {
		return false
	}
	m := r.types.payload(url[bytes.LastIndexByte(url, '/')+1:])
	if m == nil || m.form != formObject || m.empty {
		return false
	}
	const typeURL, value = 1, 2
	r.out = protowire.AppendTag(r.out, typeURL, protowire.BytesType)
	r.out = protowire.AppendVarint(r.out, uint64(len(url)))
	r.out = append(r.out, url...)
	before := len(r.out)
	r.out = protowire.AppendTag(r.out, value, protowire.BytesType)
	at := r.open()
	r.inPayload = true
	if !r.members(m, depth-1, true) {
		return false
	}
	r.inPayload = false
	if len(r.out) == at+1 {
		r.out = r.out[:before] // Nothing isn't encoded.
		return true
	}
	r.close(at)
	return true
}

// typeName is the name of the member of an Any that has the type URL.
const typeName = "@type"

// typeURL returns that of the object that was begun, in which it may come anywhere,
// without passing over anything.
func (r *run) typeURL() (url []byte, ok bool) {
	defer func(pos int) { r.pos = pos }(r.pos)
	isName := true // Where a text comes next.
	for depth := 1; depth > 0; {
		switch r.next() {
		case 0:
			return nil, false
		case '"':
			raw, _, ok := r.text()
			if !ok {
				return nil, false
			}
			if isName && depth == 1 && string(raw) == typeName {
				if !r.take(':') {
					return nil, false
				}
				return r.plain()
			}
			isName = false
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case ',':
			isName = true
			r.pos++
			continue
		}
		isName = false
		r.pos++
	}
	return nil, false
}
