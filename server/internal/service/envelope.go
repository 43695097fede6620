package service

import (
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"example.com/tidings/server/internal/eventlog"
	"example.com/tidings/server/internal/eventwire"
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
	events        []sentEvent
}

// sentEvent is one event of a batch. Its byte slices and strings point into the
// encoding of the request.
type sentEvent struct {
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
func (e *sentEvent) typeName() string {
	return eventwire.TypeName(e.typeURL)
}

// setTypeURL puts another type URL into the encoding of the event, and leaves all
// else as it was sent.
func (e *sentEvent) setTypeURL(url string) {
	e.raw, e.typeURL = eventwire.WithTypeURL(e.raw, url), url
}

// missing returns a key that the server determined where the event has none.
func (e *sentEvent) missing(key string) string {
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
		return Undecodable(err)
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
		events:        make([]sentEvent, count),
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
		*e = sentEvent{
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
	ok := eventwire.Scan(data, func(number protowire.Number, varint uint64, value []byte) bool {
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
			events = append(events, sentEvent{})
			return scanEvent(value, &events[len(events)-1])
		case 3:
			into.requestID = view(value)
			return value != nil && plainText(into.requestID, maxRequestID)
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

// scanEvent reads an event that is plainly in order.
func scanEvent(data []byte, into *sentEvent) bool {
	var e eventwire.Event
	regular, err := e.Scan(data)
	if err != nil || !regular || !plainFields(&e) {
		return false
	}
	*into = sentEvent{raw: data, id: e.ID, source: e.Source, key: e.Key, typeURL: e.TypeURL, payload: e.Payload, keyed: e.HasKey}
	return true
}

// plainFields reports whether the fields of an event surely keep the rules.
func plainFields(e *eventwire.Event) bool {
	return e.ID != "" && plainText(e.ID, maxID) &&
		plainSource(e.Source) &&
		plainText(e.Subject, maxSubject) &&
		plainText(e.Key, maxKey) &&
		(!e.HasTime || e.Seconds >= 0 && e.Seconds <= lastSecond && e.Nanos >= 0 && e.Nanos <= 999_999_999) &&
		e.HasData && utf8.ValidString(e.TypeURL) &&
		plainAttributes(e)
}

// reservedAttributes are the names that the contract doesn't allow.
var reservedAttributes = map[string]bool{
	"id": true, "source": true, "type": true, "specversion": true, "subject": true, "time": true,
	"data": true, "datacontenttype": true, "dataschema": true, "partitionkey": true,
}

func plainAttributes(e *eventwire.Event) bool {
	var room [8]eventwire.Attribute
	attributes, regular, err := e.AppendAttributes(room[:0])
	if err != nil || !regular || len(attributes) > len(room) {
		return false
	}
	for i, a := range attributes {
		if !plainAttributeName(a.Name) || !plainText(a.Value, maxAttribute) ||
			slices.ContainsFunc(attributes[:i], func(other eventwire.Attribute) bool { return other.Name == a.Name }) {
			return false
		}
	}
	return true
}

func plainAttributeName(name string) bool {
	if name == "" || len(name) > maxAttributeName || reservedAttributes[name] || strings.HasPrefix(name, "tidings") {
		return false
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
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

// unwrap returns the encoded PublishRequest that a PublishStreamRequest holds, or
// nil, and its stop_on_error. An ImportRequest is the same without it. As in parseBatch,
// nearly every message is plainly in order, and any other takes the way through
// the generated code.
func unwrap(data []byte) (publish []byte, stopOnError bool, err error) {
	var seen uint
	scanned := eventwire.Scan(data, func(number protowire.Number, varint uint64, value []byte) bool {
		if number > 2 || seen&(1<<number) != 0 {
			return false
		}
		seen |= 1 << number
		if number == 1 {
			publish = value
			return value != nil
		}
		stopOnError = varint != 0
		return value == nil
	})
	if scanned && publish != nil {
		return publish, stopOnError, nil
	}
	request := new(tidingsv1.PublishStreamRequest)
	if err := proto.Unmarshal(data, request); err != nil {
		return nil, false, Undecodable(err)
	}
	if request.GetPublish() == nil {
		return nil, request.GetStopOnError(), nil
	}
	publish, err = proto.MarshalOptions{Deterministic: true}.Marshal(request.GetPublish())
	return publish, request.GetStopOnError(), err
}

// parsePublish is parseBatch for what unwrap returned.
func parsePublish(publish []byte, into *batch, base int64) error {
	if publish == nil {
		return CheckRequest(new(tidingsv1.PublishStreamRequest))
	}
	return parseBatch(publish, into, base)
}
