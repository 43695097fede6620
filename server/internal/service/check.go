package service

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/guard"
	"example.com/tidings/server/internal/schema"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// checker checks events against one set of schemas and one topic.
type checker struct {
	types  *schema.Set
	topic  *engine.Topic // nil: any type is allowed.
	limits Limits
	// base is added to indexes in messages: the position of the batch in an
	// import.
	base int64
	// keys are the partition keys of the last events, which are views of it. It is
	// never changed.
	keys []byte
	room int // For how many keys memory is allocated at once.
}

// keyRoom is the room for a key, and maxKeyRoom for how many there is room at once.
const (
	keyRoom    = 40
	maxKeyRoom = 64
)

// check returns the type of an event and its partition key, or why it is refused. A payload
// that makes a parser or a rule panic is its own affair.
func (c *checker) check(ctx context.Context, index int, e *sentEvent) (of *schema.Type, key string, err error) {
	defer guard.Recover(&err)
	if e.err != nil {
		return nil, "", e.err
	}
	at := c.base + int64(index)
	if len(e.raw) > c.limits.MaxEventBytes {
		return nil, "", tooLarge(tidingsv1.ErrorReason_ERROR_REASON_EVENT_TOO_LARGE,
			fmt.Sprintf("events[%d]", at), len(e.raw), c.limits.MaxEventBytes)
	}
	name := e.typeName()
	t, err := c.types.Type(name)
	if err != nil {
		// The name points into the request.
		return nil, "", UnknownType(c.types, fmt.Sprintf("events[%d].data.type_url", at), strings.Clone(name))
	}
	if c.topic != nil && !c.types.Takes(c.topic.Name, c.topic.Config.GetEventTypes(), t) {
		return nil, "", fieldFault(tidingsv1.ErrorReason_ERROR_REASON_EVENT_TYPE_NOT_ALLOWED,
			fmt.Sprintf("events[%d].data.type_url", at), fmt.Sprintf("topic %q doesn't take events of type %s", c.topic.Name, t.Name),
			"type", t.Name, "topic", c.topic.Name)
	}
	if e.typeURL != t.URL {
		e.setTypeURL(t.URL)
	}
	if (t.Key != "" || e.keyed) && cap(c.keys)-len(c.keys) < keyRoom {
		c.keys = make([]byte, 0, keyRoom*max(c.room, 1))
	}
	key, c.keys, err = t.CheckInto(ctx, e.payload, c.keys)
	switch {
	case err != nil:
		return nil, "", payloadFault(at, t, err)
	case e.keyed:
		begin := len(c.keys)
		c.keys = append(c.keys, e.key...)
		return t, view(c.keys[begin:]), nil
	case !plainKey(key):
		return nil, "", fieldFault(tidingsv1.ErrorReason_ERROR_REASON_EVENT_INVALID,
			fmt.Sprintf("events[%d].data.%s", at, t.Key), "must be usable as a partition key: at most 512 characters, none of them a control character or a noncharacter")
	}
	return t, key, nil
}

// payloadFault is the error for a payload that its type refuses.
func payloadFault(at int64, t *schema.Type, err error) error {
	if invalid, ok := errors.AsType[*schema.InvalidError](err); ok {
		return violationFault(tidingsv1.ErrorReason_ERROR_REASON_EVENT_INVALID, invalid.Violations, eventPath(at), fieldPath("data"))
	}
	if errors.Is(err, schema.ErrMalformed) {
		return fieldFault(tidingsv1.ErrorReason_ERROR_REASON_EVENT_MALFORMED,
			fmt.Sprintf("events[%d].data.value", at), fmt.Sprintf("%s: %v", t.Name, err))
	}
	return err
}

// UnknownType is the error for a field, of an event or in its content, that names
// something else than a known type.
func UnknownType(types *schema.Set, field, name string) *Error {
	if !protoreflect.FullName(name).IsValid() {
		return fieldFault(tidingsv1.ErrorReason_ERROR_REASON_EVENT_MALFORMED, field, fmt.Sprintf(
			"must be the full name of a message, such as shop.orders.v1.OrderPlaced, after type.googleapis.com/ or another prefix that ends in a slash; it names %q", name))
	}
	return fieldFault(tidingsv1.ErrorReason_ERROR_REASON_EVENT_TYPE_UNKNOWN, field, types.Lacks(name), "type", name)
}

// plainKey reports whether a text can be a partition key.
func plainKey(text string) bool {
	return plainText(text, maxKey*utf8.UTFMax) && (len(text) <= maxKey || utf8.RuneCountInString(text) <= maxKey)
}

// topicOf returns the topic of a batch that names none: the one that the types
// of its events declare. Events of unknown types have no say; they are refused
// on their own.
func topicOf(types *schema.Set, events []sentEvent) (string, error) {
	topic := ""
	for i := range events {
		t, err := types.Type(events[i].typeName())
		switch {
		case err != nil:
		case t.Topic == "":
			return "", fieldFault(tidingsv1.ErrorReason_ERROR_REASON_TOPIC_UNDETERMINED, "topic",
				fmt.Sprintf("must be set: %s, the type of events[%d], declares no topic", t.Name, i))
		case topic != "" && t.Topic != topic:
			return "", fieldFault(tidingsv1.ErrorReason_ERROR_REASON_TOPIC_UNDETERMINED, "topic",
				fmt.Sprintf("must be set: the types of the events declare both %q and %q", topic, t.Topic))
		default:
			topic = t.Topic
		}
	}
	return topic, nil
}
