package precheck

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// message checks the message in a part of the payload, nested at most so deep. Its
// frame is noFrame where nothing is asked of it.
func (r *run) message(m *message, pos, end, depth int) (frame int, ok bool) {
	if depth == 0 || m.doubtful {
		return noFrame, false
	}
	frame = noFrame
	if m.slots > 0 {
		if frame = r.enter(m.slots); frame == noFrame {
			return noFrame, false
		}
	}
	var seen set
	data := r.data[:end]
	for pos < len(data) {
		tag := uint32(data[pos])
		pos++
		if tag >= 0x80 {
			if tag, pos = longTag(data, pos-1); pos < 0 {
				return noFrame, false
			}
		}
		f := m.find(tag >> 3)
		if f == nil || f.form == formNone {
			return noFrame, false
		}
		switch isNew := seen.add(f.bit); {
		case !isNew && !f.list,
			isNew && f.oneof != 0 && !seen.add(f.oneof),
			m.entry && tag>>3 == entryValue && !seen.has(m.fields[0].bit): // Its key comes first.
			return noFrame, false
		}
		if protowire.Type(tag&7) == protowire.BytesType {
			pos, ok = r.withLength(f, frame, pos, len(data), depth)
		} else {
			pos, ok = r.number(f, protowire.Type(tag&7), frame, pos, len(data))
		}
		if !ok {
			return noFrame, false
		}
	}
	if !seen.contains(&m.required) {
		return noFrame, false
	}
	return frame, r.ended(m, frame, &seen)
}

// The numbers of the fields of a map's entry.
const entryValue = 2

// ended checks what only the end of a message tells.
func (r *run) ended(m *message, frame int, seen *set) bool {
	for i := range m.oneofs {
		if !m.oneofs[i].holds(seen) {
			return false
		}
	}
	for i := range m.lists {
		if !m.lists[i].holds(r, frame) {
			return false
		}
	}
	if len(m.rules) == 0 {
		return true
	}
	return r.apply(m.rules, slot{value: uint64(uint32(frame)), set: true})
}

// longTag reads a tag of several bytes. The place after it is below 0 where there
// is none in its shortest form.
func longTag(data []byte, pos int) (tag uint32, after int) {
	if pos+1 < len(data) && data[pos+1] < 0x80 && data[pos+1] != 0 {
		return uint32(data[pos]&0x7f) | uint32(data[pos+1])<<7, pos + 2
	}
	v, n := protowire.ConsumeVarint(data[pos:])
	if n < 0 || n != protowire.SizeVarint(v) || v>>3 > uint64(protowire.MaxValidNumber) {
		return 0, -1
	}
	return uint32(v), pos + n
}

// withLength checks a value that begins with its length.
func (r *run) withLength(f *field, frame, pos, end, depth int) (after int, ok bool) {
	if pos >= end {
		return 0, false
	}
	size := int(r.data[pos])
	pos++
	if size >= 0x80 {
		v, n := protowire.ConsumeVarint(r.data[pos-1 : end])
		if n < 0 || v > uint64(end) || n != protowire.SizeVarint(v) {
			return 0, false
		}
		pos, size = pos+n-1, int(v)
	}
	after = pos + size
	if after > end || size == 0 && f.implicit {
		return 0, false
	}
	switch f.form {
	case formText:
		value := r.data[pos:after]
		if !f.text.holds(value) {
			return 0, false
		}
	case formBytes:
		for _, holds := range f.bytes {
			if !holds(r.data[pos:after]) {
				return 0, false
			}
		}
	case formMessage:
		return after, r.below(f, frame, pos, after, depth)
	case formTime:
		return after, r.time(f, frame, pos, after)
	default:
		return after, f.list && size > 0 && r.packed(f, frame, pos, after)
	}
	return after, (f.rules == nil || r.apply(f.rules, slot{value: pair(pos, after), set: true})) &&
		(f.slot < 0 || r.store(frame, f, pair(pos, after), 0))
}

// below checks a message in another one.
func (r *run) below(f *field, frame, pos, end, depth int) bool {
	slots, items := len(r.slots), len(r.items)
	inner, ok := r.message(f.message, pos, end, depth-1)
	if !ok {
		return false
	}
	if !f.keep {
		inner = noFrame
		r.slots, r.items = r.slots[:slots], r.items[:items]
	}
	return f.slot < 0 || r.store(frame, f, uint64(uint32(inner)), 0)
}

// packed checks the numbers of a list that come packed.
func (r *run) packed(f *field, frame, pos, end int) (ok bool) {
	for pos < end {
		if pos, ok = r.number(f, f.number.wire(), frame, pos, end); !ok {
			return false
		}
	}
	return true
}

// number checks a number of a field.
func (r *run) number(f *field, wire protowire.Type, frame, pos, end int) (after int, ok bool) {
	var v uint64
	switch wire {
	case protowire.VarintType:
		if f.form != formVarint || pos >= end {
			return 0, false
		}
		if v = uint64(r.data[pos]); v < 0x80 {
			pos++
		} else {
			var n int
			if v, n = protowire.ConsumeVarint(r.data[pos:end]); n < 0 {
				return 0, false
			}
			pos += n
		}
	case protowire.Fixed32Type:
		w, n := protowire.ConsumeFixed32(r.data[pos:end])
		if f.form != formFixed32 || n < 0 {
			return 0, false
		}
		v, pos = uint64(w), pos+n
	case protowire.Fixed64Type:
		var n int
		if v, n = protowire.ConsumeFixed64(r.data[pos:end]); f.form != formFixed64 || n < 0 {
			return 0, false
		}
		pos += n
	default:
		return 0, false
	}
	if v, ok = f.number.value(v); !ok || v == 0 && f.implicit || f.values != nil && !f.values(v) {
		return 0, false
	}
	return pos, (f.rules == nil || r.apply(f.rules, slot{value: v, set: true})) && (f.slot < 0 || r.store(frame, f, v, 0))
}
