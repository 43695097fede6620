package precheck

import (
	"math/bits"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// message is how the messages of a type are checked.
type message struct {
	descriptor protoreflect.MessageDescriptor
	doubtful   bool // No message of the type can be trusted.
	entry      bool // Of a map.
	fields     []field
	// index has the place among the fields of a number, counted from 1, and high
	// those of numbers that it has no room for.
	index []uint16
	high  map[protowire.Number]uint16

	slots    int // Of a frame.
	required set // The fields and oneofs that have to be there.
	bits     int // In use.
	oneofs   []choice
	lists    []listRule
	rules    []expr[bool]
}

// choice is a rule that of some fields only one is there.
type choice struct {
	fields   set
	required bool
}

func (c *choice) holds(seen *set) bool {
	count := 0
	for i, word := range seen {
		count += bits.OnesCount64(word & c.fields[i])
	}
	return count == 1 || count == 0 && !c.required
}

// form is how values are encoded.
type form uint8

const (
	formNone form = iota // A group, which is never trusted.
	formVarint
	formFixed32
	formFixed64
	formText
	formBytes
	formMessage
	formTime // A Timestamp or a Duration.
)

// field is how the values of a field are checked.
type field struct {
	form     form
	number   numberForm
	list     bool  // Or a map.
	implicit bool  // Its zero value is not encoded.
	bit      uint8 // Says that it was there.
	oneof    uint8 // Says that its oneof was. 0: it is in none.
	slot     int16 // Of a frame, for its value. -1: none.
	keep     bool  // The elements of a list are kept, or the frame of a message.

	values  func(uint64) bool // Says that a number is in order. nil: any is.
	text    *textRule         // nil: any text is in order.
	bytes   []func([]byte) bool
	time    *timeRule
	message *message
	rules   []expr[bool] // Of an element of a list or a map.
}

// set is a set of fields and oneofs of a message.
type set [4]uint64

// maxBits is how many there are at most. 0 stands for none.
const maxBits = len(set{}) * 64

// add returns false where it had been added before.
func (s *set) add(bit uint8) bool {
	word, mask := &s[bit/64], uint64(1)<<(bit%64)
	isNew := *word&mask == 0
	*word |= mask
	return isNew
}

func (s *set) has(bit uint8) bool { return s[bit/64]&(1<<(bit%64)) != 0 }

// contains reports whether all of another set are in it.
func (s *set) contains(other *set) bool {
	for i, word := range other {
		if s[i]&word != word {
			return false
		}
	}
	return true
}

// maxIndex bounds the numbers that a message has an index of.
const maxIndex = 1 << 10

// find returns the field of a number, or nil.
func (m *message) find(number uint32) *field {
	var at uint16
	if number < uint32(len(m.index)) {
		at = m.index[number]
	} else {
		at = m.high[protowire.Number(number)]
	}
	if at == 0 {
		return nil
	}
	return &m.fields[at-1]
}

// add adds a field under its number.
func (m *message) add(number protowire.Number, f field) {
	m.fields = append(m.fields, f)
	at := uint16(len(m.fields)) // A message has fewer than 65,536 fields, or is doubtful.
	if number < maxIndex {
		for len(m.index) <= int(number) {
			m.index = append(m.index, 0)
		}
		m.index[number] = at
		return
	}
	if m.high == nil {
		m.high = make(map[protowire.Number]uint16)
	}
	m.high[number] = at
}

// bit returns a new bit of the message.
func (m *message) bit() uint8 {
	if m.bits+1 >= maxBits {
		m.doubtful = true
		return 0
	}
	m.bits++
	return uint8(m.bits)
}

// capture returns the slot of a field.
func (m *message) capture(f *field) int16 {
	if f.slot < 0 {
		f.slot = int16(m.slots)
		m.slots++
	}
	return f.slot
}
