package precheck

import "bytes"

// A frame holds what is needed of a message when all of it has been read: a slot
// for each field that a rule or the key asks for.

// slot is the value of a field.
type slot struct {
	// value is a number: as an integer, or the bits of a double. Of a text or bytes
	// it is the place in the payload, of a message its frame, of a list or a map the
	// first and the last item. All places are pairs.
	value uint64
	extra int32 // The nanos of a time, or the length of a list.
	set   bool
}

// item is an element of a list, or the frame of a map's entry.
type item struct {
	value uint64
	extra int32
	next  int32 // The next one. The last has none, which its list knows.
}

func pair(first, second int) uint64 { return uint64(first)<<32 | uint64(second) }

func (s slot) first() int  { return int(s.value >> 32) }
func (s slot) second() int { return int(s.value & (1<<32 - 1)) }

// noFrame is the frame of a message that isn't there, or of which nothing is asked.
const noFrame = -1

// enter makes a frame. It is noFrame where there is no room.
func (r *run) enter(slots int) int {
	frame := len(r.slots)
	if frame+slots > maxSlots {
		return noFrame
	}
	for range slots {
		r.slots = append(r.slots, slot{})
	}
	return frame
}

// store notes a value of a field. It returns false where there is no room.
func (r *run) store(frame int, f *field, value uint64, extra int32) bool {
	s := &r.slots[frame+int(f.slot)]
	if !f.list {
		*s = slot{value: value, extra: extra, set: true}
		return true
	}
	s.extra++
	if !f.keep {
		return true
	}
	at := len(r.items)
	if at == maxItems {
		return false
	}
	r.items = append(r.items, item{value: value, extra: extra})
	if s.set {
		r.items[s.second()].next = int32(at)
		s.value = pair(s.first(), at)
	} else {
		s.value, s.set = pair(at, at), true
	}
	return true
}

// get returns a slot of a frame. That of a message that isn't there is empty.
func (r *run) get(frame int, at int16) slot {
	if frame == noFrame {
		return slot{}
	}
	return r.slots[frame+int(at)]
}

// view is the text or the bytes in a slot.
func (r *run) view(s slot) []byte { return r.data[s.first():s.second()] }

// frame is that of the message in a slot.
func (s slot) frame() int {
	if !s.set {
		return noFrame
	}
	return int(int32(s.value)) // noFrame too, where nothing is asked of it.
}

// listRule is a rule about the number of elements of a list or a map, and about
// which there are.
type listRule struct {
	slot     int16
	min, max uint64
	// unique says that the elements differ, or the keys of a map's entries.
	unique   bool
	of       form // Of the elements or keys.
	isDouble bool // They compare as numbers do: NaN differs from itself.
	keys     int16
	isMap    bool
}

// maxCompared is how many elements are compared with each other.
const maxCompared = 64

func (l *listRule) holds(r *run, frame int) bool {
	s := r.get(frame, l.slot)
	count := uint64(s.extra)
	if count == 0 { // Whether that is in order is decided by what is required.
		return true
	}
	if count < l.min || count > l.max {
		return false
	}
	return !l.unique || count < 2 || count <= maxCompared && r.differ(l, s)
}

// differ reports whether the elements of a list, or the keys of a map, differ.
func (r *run) differ(l *listRule, s slot) bool {
	at := s.first()
	for i := 1; i < int(s.extra); i++ {
		at = int(r.items[at].next)
		value := r.key(l, at)
		other := s.first()
		for range i {
			if r.same(l, value, r.key(l, other)) {
				return false
			}
			other = int(r.items[other].next)
		}
	}
	return true
}

// key is what is compared of an item.
func (r *run) key(l *listRule, at int) slot {
	i := &r.items[at]
	if l.isMap {
		return r.get(int(i.value), l.keys)
	}
	return slot{value: i.value, extra: i.extra, set: true}
}

func (r *run) same(l *listRule, a, b slot) bool {
	switch {
	case l.of == formText || l.of == formBytes:
		return bytes.Equal(r.view(a), r.view(b))
	case l.isDouble:
		return a.value == b.value || a.value<<1 == 0 && b.value<<1 == 0 // Zeros of either sign; two NaN are in doubt.
	default:
		return a.value == b.value
	}
}
