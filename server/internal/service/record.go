package service

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"example.com/tidings/server/internal/engine"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// maxEvents is the number of events of a record, and so of a request. It is
// part of what a sequence means: see tidings.storage.v1.Record.
const maxEvents = 4096

// recordFormat is the form of records that this release writes.
const recordFormat = 1

// sequenceOf returns the sequence of an event from that of its record.
func sequenceOf(record uint64, index int) int64 {
	return int64(record)*maxEvents + int64(index)
}

// recordOf returns the sequence of an event's record and the event's index.
func recordOf(sequence int64) (record uint64, index int) {
	return uint64(sequence) / maxEvents, int(sequence % maxEvents)
}

// appendRecordHeader begins the encoding of a tidings.storage.v1.Record.
func appendRecordHeader(b []byte) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, 1, protowire.VarintType), recordFormat)
}

// appendRecordEvent adds an event to a record. The key that the server filled,
// if any, follows the event's own encoding, as a field of it.
func appendRecordEvent(b []byte, e *event, key string) []byte {
	fill := e.key == "" && key != ""
	size := len(e.raw)
	if fill {
		size += protowire.SizeTag(5) + protowire.SizeBytes(len(key))
	}
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	b = append(b, e.raw...)
	if fill {
		b = protowire.AppendTag(b, 5, protowire.BytesType)
		b = protowire.AppendString(b, key)
	}
	return b
}

// recordEvents returns the encoded events of a record, as views of it.
func recordEvents(record engine.Record, into [][]byte) ([][]byte, error) {
	into = into[:0]
	format := uint64(0)
	ok := scanFields(record.Data, func(number protowire.Number, varint uint64, value []byte) bool {
		switch {
		case number == 1 && value == nil:
			format = varint
		case number == 2 && value != nil:
			into = append(into, value)
		}
		return true
	})
	switch {
	case !ok || len(into) == 0:
		return nil, fmt.Errorf("record %d: not a record", record.Sequence)
	case format != recordFormat:
		return nil, fmt.Errorf("record %d: form %d is not known: a later release wrote it", record.Sequence, format)
	}
	return into, nil
}

// eventTypeName returns the type of an encoded event.
func eventTypeName(raw []byte) (string, error) {
	var e event
	if !scanFields(raw, func(number protowire.Number, _ uint64, value []byte) bool {
		return number != 7 || value != nil && scanAny(value, &e)
	}) {
		// It has fields that scanFields doesn't know, from a later contract.
		var decoded tidingsv1.Event
		if err := proto.Unmarshal(raw, &decoded); err != nil {
			return "", err
		}
		e.typeURL = decoded.GetData().GetTypeUrl()
	}
	return e.typeName(), nil
}
