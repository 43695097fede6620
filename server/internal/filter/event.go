package filter

import (
	"fmt"
	"strings"
	"time"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/timestamppb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// event is a tidings.v1.Event as far as a filter asks about it: views of its
// encoding. A field that comes more than once counts as protobuf's own parser
// counts it.
type event struct {
	id, source, subject, key string
	keyed                    bool // It has a key, or says that it has none.
	typeURL                  string
	payload                  []byte
	timed                    bool // It has a time.
	seconds                  int64
	nanos                    int32
	encodedAttributes        []byte // The entries, from the first one's tag to the end of the last one.
	attributes               []attribute
	timeText                 string // Made when it is asked for.
}

// attribute is an entry of Event.attributes.
type attribute struct{ name, value string }

// The fields of a tidings.v1.Event.
const (
	fieldID         = 1
	fieldSource     = 2
	fieldSubject    = 3
	fieldTime       = 4
	fieldKey        = 5
	fieldAttributes = 6
	fieldData       = 7
)

// scan reads an encoded event.
func (e *event) scan(raw []byte) error {
	rest := raw
	for len(rest) > 0 {
		number, value, n := consume(rest)
		if n < 0 {
			return notAnEvent(n)
		}
		if value == nil { // No field of an event is a number.
			rest = rest[n:]
			continue
		}
		var err error
		switch number {
		case fieldID:
			e.id = view(value)
		case fieldSource:
			e.source = view(value)
		case fieldSubject:
			e.subject = view(value)
		case fieldTime:
			err = e.scanTime(value)
		case fieldKey:
			e.key, e.keyed = view(value), true
		case fieldAttributes:
			if e.encodedAttributes == nil {
				e.encodedAttributes = rest
			}
		case fieldData:
			err = e.scanAny(value)
		default: // Of a later contract.
		}
		if err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

func (e *event) scanTime(data []byte) error {
	e.timed = true
	for len(data) > 0 {
		number, wire, tag := protowire.ConsumeTag(data)
		if tag < 0 {
			return notAnEvent(tag)
		}
		n := protowire.ConsumeFieldValue(number, wire, data[tag:])
		if n < 0 {
			return notAnEvent(n)
		}
		if wire == protowire.VarintType {
			v, _ := protowire.ConsumeVarint(data[tag:])
			switch number {
			case 1:
				e.seconds = int64(v)
			case 2:
				e.nanos = int32(v)
			default:
			}
		}
		data = data[tag+n:]
	}
	return nil
}

func (e *event) scanAny(data []byte) error {
	for len(data) > 0 {
		number, value, n := consume(data)
		if n < 0 {
			return notAnEvent(n)
		}
		if value != nil {
			switch number {
			case 1:
				e.typeURL = view(value)
			case 2:
				e.payload = value
			default:
			}
		}
		data = data[n:]
	}
	return nil
}

// scanAttributes reads the entries, once. Of two with one name the last counts.
func (e *event) scanAttributes() error {
	rest := e.encodedAttributes
	e.encodedAttributes = nil
	for len(rest) > 0 {
		number, value, n := consume(rest)
		if n < 0 {
			return notAnEvent(n)
		}
		rest = rest[n:]
		if number != fieldAttributes || value == nil {
			continue
		}
		var a attribute
		for len(value) > 0 {
			part, text, n := consume(value)
			if n < 0 {
				return notAnEvent(n)
			}
			if text != nil {
				switch part {
				case 1:
					a.name = view(text)
				case 2:
					a.value = view(text)
				default:
				}
			}
			value = value[n:]
		}
		e.attributes = append(e.attributes, a)
	}
	return nil
}

// consume reads a field, of which it returns the length: below 0 for what is
// none. The value is nil unless the field has a length.
func consume(data []byte) (number protowire.Number, value []byte, length int) {
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

func notAnEvent(code int) error {
	return fmt.Errorf("not an event: %w", protowire.ParseError(code))
}

// typeName is the full name of the event's type.
func (e *event) typeName() string {
	return e.typeURL[strings.LastIndexByte(e.typeURL, '/')+1:]
}

// timestamp is the event's time, or nil.
func (e *event) timestamp() *timestamppb.Timestamp {
	if !e.timed {
		return nil
	}
	return &timestamppb.Timestamp{Seconds: e.seconds, Nanos: e.nanos}
}

// timeAttribute is the time as protobuf's JSON has it: RFC 3339 in UTC, the
// fraction of a second in no, three, six or nine digits. Empty where the event
// has no time.
func (e *event) timeAttribute() string {
	if e.timeText == "" {
		stamp := e.timestamp()
		if stamp.CheckValid() != nil {
			return ""
		}
		layout := "2006-01-02T15:04:05.000000000Z"
		switch {
		case e.nanos == 0:
			layout = "2006-01-02T15:04:05Z"
		case e.nanos%1e6 == 0:
			layout = "2006-01-02T15:04:05.000Z"
		case e.nanos%1e3 == 0:
			layout = "2006-01-02T15:04:05.000000Z"
		}
		e.timeText = time.Unix(e.seconds, int64(e.nanos)).UTC().Format(layout)
	}
	return e.timeText
}

// message is the event without its payload, for CEL. It shares the event's
// memory.
func (e *event) message() (*tidingsv1.Event, error) {
	if err := e.scanAttributes(); err != nil {
		return nil, err
	}
	message := &tidingsv1.Event{
		Id:      e.id,
		Source:  e.source,
		Subject: e.subject,
		Time:    e.timestamp(),
	}
	if e.keyed {
		message.PartitionKey = &e.key
	}
	if len(e.attributes) > 0 {
		message.Attributes = make(map[string]string, len(e.attributes))
		for _, a := range e.attributes {
			message.Attributes[a.name] = a.value
		}
	}
	return message, nil
}

// view is the string that shares the bytes' memory, which outlives the event.
func view(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b)) //nolint:gosec // As the comment says.
}
