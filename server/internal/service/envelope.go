package service

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"example.com/tidings/server/internal/eventlog"
	"example.com/tidings/server/internal/schema"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// batch is a publish request as it is worked on: views of its encoding, from
// which events are copied once, into their record.
type batch struct {
	topic         string
	requestID     string
	skipInvalid   bool
	preconditions []*tidingsv1.Precondition
	events        []event
}

// event is one event of a batch. Its byte slices and strings point into the
// encoding of the request.
type event struct {
	raw     []byte
	id      string
	source  string
	key     string
	typeURL string
	payload []byte
	keyed   bool  // A key is set, if only to none.
	err     error // Why it is refused before its content is looked at.
}

// typeName is the full name of the event's type.
func (e *event) typeName() string {
	return eventlog.TypeName(e.typeURL)
}

// setTypeURL puts another type URL into the encoding of the event, in memory of
// its own, and leaves all else as it was sent.
func (e *event) setTypeURL(url string) {
	const data = 7
	raw := make([]byte, 0, len(e.raw)+len(url)+2*binary.MaxVarintLen32) // Both lengths may get longer.
	for rest := e.raw; len(rest) > 0; {
		number, _, size := protowire.ConsumeField(rest)
		if number != data {
			raw = append(raw, rest[:size]...)
		} else {
			content := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), url)
			if len(e.payload) > 0 {
				content = protowire.AppendBytes(protowire.AppendTag(content, 2, protowire.BytesType), e.payload)
			}
			raw = protowire.AppendBytes(protowire.AppendTag(raw, data, protowire.BytesType), content)
		}
		rest = rest[size:]
	}
	e.raw, e.typeURL = raw, url
}

// missing returns a key that the server determined where the event has none.
func (e *event) missing(key string) string {
	if e.keyed {
		return ""
	}
	return key
}

// parseBatch reads a PublishRequest, or a message with the same fields. Rules
// about the request are checked and end in an error; rules about one event end
// in that event's err.
//
// Nearly every request passes through scanBatch, which allocates nothing for
// an event. It knows only what is plainly in order: whatever else there is
// takes the long way, through the generated code and protovalidate, whose
// verdict counts. FuzzParseBatch holds the two together. Indexes in errors are
// counted from base.
func parseBatch(data []byte, into *batch, base int64) error {
	if !scanBatch(data, into) {
		if err := decodeBatch(data, into, base); err != nil {
			return err
		}
	}
	return checkSubjects(into.preconditions)
}

func decodeBatch(data []byte, into *batch, base int64) error {
	request := new(tidingsv1.PublishRequest)
	if err := proto.Unmarshal(data, request); err != nil {
		return undecodable(err)
	}
	events := request.GetEvents()
	count := len(events)
	if err := checkCount("events", count, eventlog.MaxEvents, ""); err != nil {
		return err
	}
	*into = batch{
		topic:         request.GetTopic(),
		requestID:     request.GetRequestId(),
		skipInvalid:   request.GetSkipInvalid(),
		preconditions: request.GetPreconditions(),
		events:        make([]event, count),
	}
	// The rules about the request are checked with events that break none, so
	// that one bad event is the event's affair.
	request.Events = make([]*tidingsv1.Event, count)
	for i := range request.GetEvents() {
		request.Events[i] = plainEvent
	}
	if err := CheckRequest(request); err != nil {
		return err
	}
	for i, message := range events {
		// Deterministic, so that a retry has the same bytes.
		raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
		if err != nil {
			return err
		}
		e := &into.events[i]
		*e = event{
			raw:     raw,
			id:      message.GetId(),
			source:  message.GetSource(),
			key:     message.GetPartitionKey(),
			keyed:   message.PartitionKey != nil,
			typeURL: message.GetData().GetTypeUrl(),
			payload: message.GetData().GetValue(),
		}
		e.err = checkRules(message, tidingsv1.ErrorReason_ERROR_REASON_EVENT_INVALID, eventPath(base+int64(i)))
		if invalid, ok := errors.AsType[*schema.InvalidError](schema.UnknownField(message.ProtoReflect())); ok && e.err == nil {
			e.err = violationFault(tidingsv1.ErrorReason_ERROR_REASON_EVENT_INVALID, invalid.Violations, eventPath(base+int64(i)))
		}
	}
	return nil
}

// scanBatch reads a request that is plainly in order and returns false for
// any other.
func scanBatch(data []byte, into *batch) bool {
	events := into.events[:0]
	*into = batch{}
	var seen uint
	ok := eventlog.Scan(data, func(number protowire.Number, varint uint64, value []byte) bool {
		if number != 2 && number != 5 {
			if seen&(1<<number) != 0 {
				return false
			}
			seen |= 1 << number
		}
		switch number {
		case 1:
			into.topic = view(value)
			return value != nil && plainTopic(into.topic)
		case 2:
			if value == nil || len(events) == eventlog.MaxEvents {
				return false
			}
			events = append(events, event{})
			return scanEvent(value, &events[len(events)-1])
		case 3:
			into.requestID = view(value)
			return value != nil && plainText(value, 128)
		case 4:
			into.skipInvalid = varint != 0
			return value == nil
		case 5:
			precondition := scanPrecondition(value)
			into.preconditions = append(into.preconditions, precondition)
			return value != nil && precondition != nil && len(into.preconditions) <= maxPreconditions
		default: // A field that isn't known.
			return false
		}
	})
	into.events = events
	return ok && len(events) > 0
}

func scanEvent(data []byte, e *event) bool {
	e.raw = data
	var seen uint
	var names attributeNames
	return eventlog.Scan(data, func(number protowire.Number, _ uint64, value []byte) bool {
		if value == nil { // No field of an event is a number.
			return false
		}
		if number != 6 {
			if seen&(1<<number) != 0 {
				return false
			}
			seen |= 1 << number
		}
		switch number {
		case 1:
			e.id = view(value)
			return len(value) > 0 && plainText(value, 256)
		case 2:
			e.source = view(value)
			return plainSource(value)
		case 3:
			return plainText(value, 1024)
		case 4:
			return scanTime(value)
		case 5:
			e.key, e.keyed = view(value), true
			return plainText(value, 512)
		case 6:
			return scanAttribute(value, &names)
		case 7:
			return scanAny(value, e)
		default: // A field that isn't known.
			return false
		}
	}) && seen&(1<<1) != 0 && seen&(1<<2) != 0 && seen&(1<<7) != 0
}

// attributeNames are the names seen so far.
type attributeNames struct {
	list  [8]string
	count int
}

// reservedAttributes are the names that the contract doesn't allow.
var reservedAttributes = map[string]bool{
	"id": true, "source": true, "type": true, "specversion": true, "subject": true, "time": true,
	"data": true, "datacontenttype": true, "dataschema": true, "partitionkey": true,
}

func scanAttribute(data []byte, names *attributeNames) bool {
	var name string
	var seen uint
	ok := eventlog.Scan(data, func(number protowire.Number, _ uint64, value []byte) bool {
		if value == nil || number > 2 || seen&(1<<number) != 0 {
			return false
		}
		seen |= 1 << number
		if number == 2 {
			return plainText(value, 4096)
		}
		name = view(value)
		return true
	})
	if !ok || name == "" || len(name) > 20 || reservedAttributes[name] || strings.HasPrefix(name, "tidings") || names.count == len(names.list) {
		return false
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	if slices.Contains(names.list[:names.count], name) {
		return false
	}
	names.list[names.count] = name
	names.count++
	return true
}

func scanTime(data []byte) bool {
	var seconds, nanos uint64
	return eventlog.Scan(data, func(number protowire.Number, varint uint64, value []byte) bool {
		switch number {
		case 1:
			seconds = varint
		case 2:
			nanos = varint
		default:
			return false
		}
		return value == nil
	}) && seconds <= 253402300799 && nanos <= 999999999
}

func scanAny(data []byte, e *event) bool {
	var seen uint
	return eventlog.Scan(data, func(number protowire.Number, _ uint64, value []byte) bool {
		if value == nil || number > 2 || seen&(1<<number) != 0 {
			return false
		}
		seen |= 1 << number
		if number == 1 {
			e.typeURL = view(value)
			return utf8.Valid(value)
		}
		e.payload = value
		return true
	})
}

func plainTopic(name string) bool {
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (i == 0 || (c < '0' || c > '9') && c != '-') {
			return false
		}
	}
	return name != "" && len(name) <= 63 && name[len(name)-1] != '-'
}

// view is the string that shares the bytes' memory.
func view(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b)) //nolint:gosec // The bytes outlive the batch.
}

// plainEvent is an event that breaks no rule.
var plainEvent = &tidingsv1.Event{Id: "-", Source: "-", Data: new(anypb.Any)}
