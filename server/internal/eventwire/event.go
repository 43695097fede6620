// Package eventwire knows how a tidings.v1.Event is encoded: which fields it has,
// and not which values they may have.
package eventwire

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"
)

// The fields of a tidings.v1.Event.
const (
	fieldID         protowire.Number = 1
	fieldSource     protowire.Number = 2
	fieldSubject    protowire.Number = 3
	fieldTime       protowire.Number = 4
	fieldKey        protowire.Number = 5
	fieldAttributes protowire.Number = 6
	fieldData       protowire.Number = 7
)

// The fields of its time and of its data.
const (
	fieldSeconds protowire.Number = 1
	fieldNanos   protowire.Number = 2
	fieldTypeURL protowire.Number = 1
	fieldPayload protowire.Number = 2
)

// Event is an encoded event: views of its encoding, whose memory it shares. Texts
// may hold anything.
type Event struct {
	ID, Source, Subject string
	HasKey              bool // It has a key, or says that it has none.
	Key                 string
	HasTime             bool
	Seconds             int64
	Nanos               int32
	HasData             bool
	TypeURL             string
	Payload             []byte

	attributes []byte // From the first entry's tag to the end of the event.
}

// Attribute is an entry of an event's attributes.
type Attribute struct{ Name, Value string }

// TypeName returns the full name of a message from its type URL.
func TypeName(url string) string { return url[strings.LastIndexByte(url, '/')+1:] }

// TypeName is the full name of the event's type.
func (e *Event) TypeName() string { return TypeName(e.TypeURL) }

// Scan reads an encoded event, but for its attributes. A field that comes more
// than once counts as protobuf's own parser counts it, and one that isn't known is
// passed over. It returns an error for what isn't the encoding of a message.
//
// The event is regular where each field is known, has the form that its type has,
// and comes once.
func (e *Event) Scan(raw []byte) (regular bool, err error) {
	*e = Event{}
	regular = true
	var seen fieldSet
	for rest := raw; len(rest) > 0; {
		number, value, size := consume(rest)
		if size < 0 {
			return false, notAnEvent(size)
		}
		if number == fieldAttributes && value != nil && e.attributes == nil {
			e.attributes = rest
		}
		known, err := e.take(number, value)
		if err != nil {
			return false, err
		}
		known = known && shortTag(rest)
		regular = regular && known && (number == fieldAttributes || seen.add(number))
		rest = rest[size:]
	}
	return regular, nil
}

// take takes a field, whose value is nil unless it has a length.
func (e *Event) take(number protowire.Number, value []byte) (regular bool, err error) {
	if value == nil { // No field of an event is a number.
		return false, nil
	}
	switch number {
	case fieldID:
		e.ID = view(value)
	case fieldSource:
		e.Source = view(value)
	case fieldSubject:
		e.Subject = view(value)
	case fieldTime:
		return e.takeTime(value)
	case fieldKey:
		e.Key, e.HasKey = view(value), true
	case fieldAttributes:
	case fieldData:
		return e.takeData(value)
	default: // Of a later contract.
		return false, nil
	}
	return true, nil
}

func (e *Event) takeTime(data []byte) (regular bool, err error) {
	e.HasTime, regular = true, true
	var seen fieldSet
	for len(data) > 0 {
		number, wire, tag := protowire.ConsumeTag(data)
		if tag < 0 {
			return false, notAnEvent(tag)
		}
		size := protowire.ConsumeFieldValue(number, wire, data[tag:])
		if size < 0 {
			return false, notAnEvent(size)
		}
		known := wire == protowire.VarintType && shortTag(data) && seen.add(number)
		if wire == protowire.VarintType {
			v, _ := protowire.ConsumeVarint(data[tag:])
			switch number {
			case fieldSeconds:
				e.Seconds = int64(v)
			case fieldNanos:
				e.Nanos = int32(v)
				known = known && uint64(e.Nanos) == v
			default:
				known = false
			}
		}
		regular = regular && known
		data = data[tag+size:]
	}
	return regular, nil
}

func (e *Event) takeData(data []byte) (regular bool, err error) {
	e.HasData = true
	url, payload, regular, err := pair(data)
	if url != nil {
		e.TypeURL = view(url)
	}
	if payload != nil {
		e.Payload = payload
	}
	return regular, err
}

// AppendAttributes appends the attributes in the order in which they are encoded:
// of two with one name the last counts. What Scan says of an event holds of each.
func (e *Event) AppendAttributes(into []Attribute) (attributes []Attribute, regular bool, err error) {
	regular = true
	for rest := e.attributes; len(rest) > 0; {
		number, value, size := consume(rest)
		if size < 0 {
			return nil, false, notAnEvent(size)
		}
		rest = rest[size:]
		if number != fieldAttributes || value == nil {
			continue
		}
		name, text, known, err := pair(value)
		if err != nil {
			return nil, false, err
		}
		regular = regular && known
		into = append(into, Attribute{view(name), view(text)})
	}
	return into, regular, nil
}

// Texts returns the values of two attributes of an encoded event: nothing for one that
// isn't there, or where it isn't the encoding of an event. It allocates nothing.
func Texts(raw []byte, first, second string) (one, two string) {
	for len(raw) > 0 {
		number, value, size := consume(raw)
		if size < 0 {
			return "", ""
		}
		raw = raw[size:]
		if number != fieldAttributes || value == nil {
			continue
		}
		name, text, _, err := pair(value)
		switch {
		case err != nil:
			return "", ""
		case view(name) == first:
			one = view(text)
		case view(name) == second:
			two = view(text)
		}
	}
	return one, two
}

// PartitionKey returns the key of an encoded event, or nothing.
func PartitionKey(raw []byte) (string, error) {
	var e Event
	_, err := e.Scan(raw)
	return strings.Clone(e.Key), err
}

// WithTypeURL returns the encoding of an event, which Scan has read, with another
// type URL, in memory of its own. All else is as it was.
func WithTypeURL(raw []byte, url string) []byte {
	result := make([]byte, 0, len(raw)+len(url)+2*binary.MaxVarintLen32) // Both lengths may get longer.
	for rest := raw; len(rest) > 0; {
		number, value, size := consume(rest)
		if number != fieldData || value == nil {
			result = append(result, rest[:size]...)
		} else {
			_, payload, _, _ := pair(value)
			content := protowire.AppendString(protowire.AppendTag(nil, fieldTypeURL, protowire.BytesType), url)
			if len(payload) > 0 {
				content = protowire.AppendBytes(protowire.AppendTag(content, fieldPayload, protowire.BytesType), payload)
			}
			result = protowire.AppendBytes(protowire.AppendTag(result, fieldData, protowire.BytesType), content)
		}
		rest = rest[size:]
	}
	return result
}

// KeySize is the size that AppendKey adds to an event.
func KeySize(key string) int { return protowire.SizeTag(fieldKey) + protowire.SizeBytes(len(key)) }

// AppendKey adds a partition key to an encoded event that says nothing of one.
func AppendKey(raw []byte, key string) []byte {
	return protowire.AppendString(protowire.AppendTag(raw, fieldKey, protowire.BytesType), key)
}

// pair reads a message of two fields with a length: an entry of the attributes, or
// an Any. A field that isn't there is nil.
func pair(data []byte) (first, second []byte, regular bool, err error) {
	regular = true
	var seen fieldSet
	for len(data) > 0 {
		number, value, size := consume(data)
		if size < 0 {
			return nil, nil, false, notAnEvent(size)
		}
		switch {
		case value == nil:
			regular = false
		case number == 1:
			first = value
		case number == 2:
			second = value
		default:
			regular = false
		}
		regular = regular && shortTag(data) && seen.add(number)
		data = data[size:]
	}
	return first, second, regular, nil
}

// consume reads a field, of which it returns the size: below 0 for what is none.
// The value is nil unless the field has a length.
func consume(data []byte) (number protowire.Number, value []byte, size int) {
	// Nearly every field has a tag and a length of one byte.
	if len(data) > 1 && data[0] < 0x80 && data[0] >= 0x08 && protowire.Type(data[0]&7) == protowire.BytesType && data[1] < 0x80 {
		if end := 2 + int(data[1]); end <= len(data) {
			return protowire.Number(data[0] >> 3), data[2:end:end], end
		}
	}
	number, wire, tag := protowire.ConsumeTag(data)
	if tag < 0 {
		return 0, nil, tag
	}
	if wire == protowire.BytesType {
		value, n := protowire.ConsumeBytes(data[tag:])
		if n < 0 {
			return 0, nil, n
		}
		if value == nil { // It is empty.
			value = []byte{}
		}
		return number, value, tag + n
	}
	n := protowire.ConsumeFieldValue(number, wire, data[tag:])
	if n < 0 {
		return 0, nil, n
	}
	return number, nil, tag + n
}

// shortTag reports whether the tag of a field has one byte, as that of any field
// up to number 15 has from generated code.
func shortTag(field []byte) bool { return field[0] < 0x80 }

// fieldSet is a set of field numbers.
type fieldSet uint64

// add adds a number and reports whether it wasn't there.
func (s *fieldSet) add(number protowire.Number) bool {
	bit := fieldSet(1) << number
	isNew := *s&bit == 0
	*s |= bit
	return isNew
}

func notAnEvent(code int) error {
	return fmt.Errorf("not an event: %w", protowire.ParseError(code))
}

// view is the string that shares the bytes' memory.
func view(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b)) //nolint:gosec // Whoever scans keeps the bytes.
}
