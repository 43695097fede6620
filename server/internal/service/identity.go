package service

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/eventwire"
	"example.com/tidings/server/internal/schema"
	"example.com/tidings/server/internal/tracing"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// Identities are what a repetition is recognised by. Those of requests with an
// id, with or without a principal, and of requests without one begin with a letter
// each, and so can't be the same.

// requestIdentity is that of a request with an id of its own: no principal can take
// the ids of another. Empty: nobody was asked who they are.
func requestIdentity(principal, requestID string) engine.ID {
	if principal == "" {
		return digest(append([]byte{'r'}, requestID...))
	}
	names := binary.AppendUvarint([]byte{'p'}, uint64(len(principal)))
	return digest(append(append(names, principal...), requestID...))
}

// eventsIdentity is that of the events of a request: their sources and ids in
// order, of those that are refused too, so that the same events with corrections
// are recognised.
func eventsIdentity(events []sentEvent) engine.ID {
	size := 1
	for i := range events {
		size += len(events[i].source) + len(events[i].id) + 2*binary.MaxVarintLen16
	}
	names := append(make([]byte, 0, size), 's')
	for i := range events {
		names = appendIdentity(names, &events[i])
	}
	return digest(names)
}

// eventIdentity is that of one event.
func eventIdentity(e *sentEvent) engine.ID {
	var room [256]byte
	return digest(appendIdentity(room[:0], e))
}

func appendIdentity(b []byte, e *sentEvent) []byte {
	b = binary.AppendUvarint(b, uint64(len(e.source)))
	b = append(b, e.source...)
	b = binary.AppendUvarint(b, uint64(len(e.id)))
	return append(b, e.id...)
}

func digest(b []byte) engine.ID {
	sum := sha256.Sum256(b)
	return engine.ID(sum[:len(engine.ID{})])
}

// sameEvent compares two encoded events by what they say: encodings of the same
// event may differ in the order of map entries, earlier releases stored type URLs as
// they came, and who sends an event again may do so in another trace.
func sameEvent(types *schema.Set, a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var left, right tidingsv1.Event
	if proto.Unmarshal(a, &left) != nil || proto.Unmarshal(b, &right) != nil {
		return false
	}
	leftData, rightData := left.GetData(), right.GetData()
	left.Data, right.Data = nil, nil
	for _, event := range []*tidingsv1.Event{&left, &right} { // Where an attempt was traced is no part of what it says.
		delete(event.GetAttributes(), tracing.AttributeParent)
		delete(event.GetAttributes(), tracing.AttributeState)
	}
	if !proto.Equal(&left, &right) || eventwire.TypeName(leftData.GetTypeUrl()) != eventwire.TypeName(rightData.GetTypeUrl()) {
		return false
	}
	if bytes.Equal(leftData.GetValue(), rightData.GetValue()) {
		return true
	}
	t, err := types.FindMessageByURL(leftData.GetTypeUrl())
	if err != nil {
		return false
	}
	leftPayload, rightPayload := dynamicpb.NewMessage(t.Descriptor()), dynamicpb.NewMessage(t.Descriptor())
	return proto.Unmarshal(leftData.GetValue(), leftPayload) == nil &&
		proto.Unmarshal(rightData.GetValue(), rightPayload) == nil &&
		proto.Equal(leftPayload, rightPayload)
}

// sameIdentity compares the identities of two encoded events.
func sameIdentity(a, b []byte) bool {
	var left, right tidingsv1.Event
	return proto.Unmarshal(a, &left) == nil && proto.Unmarshal(b, &right) == nil &&
		left.GetId() == right.GetId() && left.GetSource() == right.GetSource()
}

// requestConflict is the error for a request id that is taken by other events, the
// first of which has a sequence.
func requestConflict(topic string, sequence int64, requestID string) *Error {
	return fault(tidingsv1.ErrorReason_ERROR_REASON_REQUEST_ID_CONFLICT,
		fmt.Sprintf("request id %q was used for other events", requestID),
		"topic", topic, "sequence", strconv.FormatInt(sequence, 10), "request_id", requestID)
}

// conflict is the error for an identity that is taken by another event than the
// encoded one.
func conflict(topic string, sequence int64, raw []byte) *Error {
	var e tidingsv1.Event
	if err := proto.Unmarshal(raw, &e); err != nil {
		e.Id = "?" // The server encoded it: can't happen.
	}
	return fault(tidingsv1.ErrorReason_ERROR_REASON_EVENT_ID_CONFLICT,
		fmt.Sprintf("an event with id %q of source %q and other content is stored", e.GetId(), e.GetSource()),
		"topic", topic, "sequence", strconv.FormatInt(sequence, 10), "id", e.GetId(), "source", e.GetSource())
}

// corrected is the error for events that were sent before, when not the same of
// them were valid. The encoded one is the first that was stored.
func corrected(topic string, sequence int64, raw []byte) *Error {
	e := conflict(topic, sequence, raw)
	e.Message = "these events were sent before, and stored without those that were refused: send corrected events alone, in a request of their own"
	return e
}

// conflictWithin is conflict for another event of the same request, where none is
// stored.
func conflictWithin(topic string, raw []byte) *Error {
	e := conflict(topic, 0, raw)
	e.Message = fmt.Sprintf("two events of the request have id %q of source %q and different content", e.Metadata["id"], e.Metadata["source"])
	return e
}
