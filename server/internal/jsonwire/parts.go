package jsonwire

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// part is what a field of a message, or an entry of a map, is in the output.
type part struct {
	begin, end int
	order      uint64 // Of the field, or of the key that is a number.
	key        []byte // Which is a text.
}

func (p part) compare(other part) int {
	return cmp.Or(cmp.Compare(p.order, other.order), bytes.Compare(p.key, other.key))
}

// arrange puts the parts of the output from a place on in their order, with
// something between them, and reports whether they all differ. They are in use no
// longer.
func (r *run) arrange(base, begin int, between []byte) bool {
	parts := r.parts[base:]
	r.parts = r.parts[:base]
	defer clear(parts)
	sorted := true
	for i := 1; i < len(parts); i++ {
		switch c := parts[i-1].compare(parts[i]); {
		case c == 0:
			return false
		case c > 0:
			sorted = false
		}
	}
	if sorted {
		return true
	}
	slices.SortFunc(parts, part.compare)
	for i := 1; i < len(parts); i++ {
		if parts[i-1].compare(parts[i]) == 0 {
			return false
		}
	}
	r.copied = append(r.copied[:0], r.out[begin:]...)
	r.out = r.out[:begin]
	for i, p := range parts {
		if i > 0 {
			r.out = append(r.out, between...)
		}
		r.out = append(r.out, r.copied[p.begin-begin:p.end-begin]...)
	}
	return true
}

// open makes room for the length of what follows in the output, and close puts it
// there.
func (r *run) open() (at int) {
	r.out = append(r.out, 0)
	return len(r.out) - 1
}

func (r *run) close(at int) {
	size := len(r.out) - at - 1
	if size < 0x80 {
		r.out[at] = byte(size)
		return
	}
	var room [binary.MaxVarintLen64]byte
	length := protowire.AppendVarint(room[:0], uint64(size))
	r.out = append(r.out, room[:len(length)-1]...)
	copy(r.out[at+len(length):], r.out[at+1:at+1+size])
	copy(r.out[at:], length)
}
