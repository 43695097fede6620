// Package eventlog is how events lie in the records of a topic: the encoding of
// records, and the sequences and cursors that name a place among them.
package eventlog

import (
	"encoding/hex"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"example.com/tidings/server/internal/eventwire"
)

// MaxEvents is the number of events of a record, and so of a request. It is
// part of what a sequence means: see tidings.storage.v1.Record.
const MaxEvents = 4096

// recordFormat is the form of records that this release writes.
const recordFormat = 1

// The fields of a tidings.storage.v1.Record.
const (
	formatField    = 1
	eventsField    = 2
	revisionsField = 4
	publisherField = 5
)

// AppendHeader begins the encoding of a tidings.storage.v1.Record by a publisher,
// or none, whose events were checked against revisions of their types: those of
// each event, or one that is that of all, or none where that isn't known.
func AppendHeader(b []byte, publisher string, revisions ...[RevisionSize]byte) []byte {
	b = appendHead(b, publisher, len(revisions))
	for i := range revisions {
		b = append(b, revisions[i][:]...)
	}
	return b
}

// appendHead adds a header as far as its revisions.
func appendHead(b []byte, publisher string, revisions int) []byte {
	b = protowire.AppendVarint(protowire.AppendTag(b, formatField, protowire.VarintType), recordFormat)
	if publisher != "" {
		b = protowire.AppendString(protowire.AppendTag(b, publisherField, protowire.BytesType), publisher)
	}
	if revisions == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, revisionsField, protowire.BytesType), uint64(revisions*RevisionSize))
}

// AppendHeaderOf begins a record with some of the events of another one, given
// the header of that.
func AppendHeaderOf(b, header []byte, indexes ...int) []byte {
	of := HeaderOf(header)
	if len(of.Revisions) <= RevisionSize {
		return append(b, header...)
	}
	b = appendHead(b, string(of.Publisher), len(indexes))
	for _, index := range indexes {
		b = append(b, of.Revisions.Of(index)...)
	}
	return b
}

// RevisionSize is the size of the revision of a type.
const RevisionSize = 8

// HeaderSize is the most that AppendHeader adds for a publisher of so many bytes
// and a number of revisions.
func HeaderSize(publisher, revisions int) int {
	return 2 + 1 + protowire.SizeBytes(publisher) + 1 + 3 + revisions*RevisionSize
}

// Header is what a record says of its events, as views of its data.
type Header struct {
	Publisher []byte // Empty: none is known.
	Revisions Revisions
}

// Revisions are those of the types of a record's events: see
// tidings.storage.v1.Record.type_revisions. Empty: an earlier release stored it.
type Revisions []byte

// HeaderOf returns the header of a record.
func HeaderOf(data []byte) (h Header) {
	eventwire.Scan(data, func(number protowire.Number, _ uint64, value []byte) bool {
		switch number { //nolint:exhaustive // The others are of no interest.
		case revisionsField:
			h.Revisions = value
		case publisherField:
			h.Publisher = value
		}
		return number != eventsField // The header is before the events.
	})
	return h
}

// Of returns the revision of the type of an event, or nothing where it isn't
// known.
func (r Revisions) Of(index int) []byte {
	if len(r) == RevisionSize {
		return r
	}
	if end := (index + 1) * RevisionSize; end <= len(r) {
		return r[end-RevisionSize : end]
	}
	return nil
}

// AppendEvent adds an encoded event to a record. The partition key, unless it
// is empty, follows the event's own encoding, as a field of it.
func AppendEvent(b, raw []byte, key string) []byte {
	size := len(raw)
	if key != "" {
		size += eventwire.KeySize(key)
	}
	b = protowire.AppendTag(b, eventsField, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	b = append(b, raw...)
	if key != "" {
		b = eventwire.AppendKey(b, key)
	}
	return b
}

// Events returns the encoded events of the record whose first event has a
// sequence, as views of its data.
func Events(first int64, data []byte, into [][]byte) ([][]byte, error) {
	into = into[:0]
	format := uint64(0)
	ok := eventwire.Scan(data, func(number protowire.Number, varint uint64, value []byte) bool {
		switch {
		case number == formatField && value == nil:
			format = varint
		case number == eventsField && value != nil:
			into = append(into, value)
		}
		return true
	})
	switch {
	case !ok || len(into) == 0:
		return nil, fmt.Errorf("record %d: not a record", first)
	case format != recordFormat:
		return nil, fmt.Errorf("record %d: form %d is not known: a later release wrote it", first, format)
	}
	return into, nil
}

// AppendSuffix adds the fields of a RecordedEvent that are the same for all events
// of a record, or of a type in it: topic, publish_time, schema_revision and
// publisher.
func AppendSuffix(b []byte, topic string, publishTime time.Time, revision, publisher []byte) []byte {
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	b = protowire.AppendString(b, topic)
	b = protowire.AppendTag(b, 5, protowire.BytesType)
	b = protowire.AppendBytes(b, Timestamp(publishTime))
	if len(revision) > 0 {
		b = protowire.AppendTag(b, 6, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(hex.EncodedLen(len(revision))))
		b = hex.AppendEncode(b, revision)
	}
	if len(publisher) > 0 {
		b = protowire.AppendBytes(protowire.AppendTag(b, 7, protowire.BytesType), publisher)
	}
	return b
}

// Timestamp encodes a google.protobuf.Timestamp.
func Timestamp(t time.Time) []byte { return secondsAndNanos(t.Unix(), t.Nanosecond()) }

// Duration encodes a google.protobuf.Duration.
func Duration(d time.Duration) []byte {
	return secondsAndNanos(int64(d/time.Second), int(d%time.Second))
}

// secondsAndNanos is what both of them are.
func secondsAndNanos(seconds int64, nanos int) []byte {
	b := protowire.AppendTag(nil, 1, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(seconds))
	if nanos != 0 {
		b = protowire.AppendTag(b, 2, protowire.VarintType)
		b = protowire.AppendVarint(b, uint64(nanos))
	}
	return b
}

// FieldHeader is the room before what is to be a field, for its tag and its length.
const FieldHeader = 1 + 5

// SealField makes what a buffer has behind a FieldHeader field 1 of a message: it puts the
// tag and the length before it, and returns where they begin.
func SealField(buffer []byte) (start int) {
	length := uint64(len(buffer) - FieldHeader)
	start = FieldHeader - 1 - protowire.SizeVarint(length)
	header := protowire.AppendTag(buffer[start:start], 1, protowire.BytesType)
	protowire.AppendVarint(header, length)
	return start
}

// Overhead is the most that AppendRecorded adds to an event and its suffix.
const Overhead = 64

// AppendRecorded adds a RecordedEvent, as a field of the number, to an encoded
// message. The cursor is that of the position after.
func AppendRecorded(b []byte, field protowire.Number, uid uint64, raw []byte, sequence, after int64, suffix []byte) []byte {
	var room [Overhead]byte
	cursor := AppendCursor(room[:0], uid, after)
	size := 1 + protowire.SizeBytes(len(raw)) +
		1 + protowire.SizeVarint(uint64(sequence)) +
		1 + protowire.SizeBytes(len(cursor)) +
		len(suffix)
	b = protowire.AppendTag(b, field, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	b = protowire.AppendTag(b, 1, protowire.BytesType)
	b = protowire.AppendBytes(b, raw)
	b = protowire.AppendTag(b, 3, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(sequence))
	b = protowire.AppendTag(b, 4, protowire.BytesType)
	b = protowire.AppendBytes(b, cursor)
	return append(b, suffix...)
}
