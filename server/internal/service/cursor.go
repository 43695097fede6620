package service

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"

	"example.com/tidings/server/internal/engine"
)

// A cursor is the position after an event: six bytes that tell the topic from
// every other, the event's sequence as a varint, and a byte that tells a
// mistyped cursor, in base64url. The sequence of the last event of a record has
// the highest index instead of its own, which says that the whole record has
// been read.

const lastIndex = maxEvents - 1

// afterRecord is the position after a record.
func afterRecord(record uint64) int64 { return sequenceOf(record, lastIndex) }

func appendCursor(b []byte, topic *engine.Topic, sequence int64) []byte {
	var raw [6 + binary.MaxVarintLen64 + 1]byte
	binary.BigEndian.PutUint64(raw[:], topic.Config.GetUid())
	n := 6 + binary.PutUvarint(raw[6:], uint64(sequence))
	raw[n] = byte(crc32.ChecksumIEEE(raw[:n]))
	return base64.RawURLEncoding.AppendEncode(b, raw[:n+1])
}

func cursorOf(topic *engine.Topic, sequence int64) string {
	return string(appendCursor(nil, topic, sequence))
}

// parseCursor returns the sequence in a cursor of a topic.
func parseCursor(topic *engine.Topic, cursor string) (sequence int64, ok bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(raw) < 8 {
		return 0, false
	}
	var uid [8]byte
	binary.BigEndian.PutUint64(uid[:], topic.Config.GetUid())
	body, check := raw[:len(raw)-1], raw[len(raw)-1]
	value, n := binary.Uvarint(body[6:])
	if string(body[:6]) != string(uid[:6]) || n != len(body)-6 || byte(crc32.ChecksumIEEE(body)) != check || value > 1<<63-1 {
		return 0, false
	}
	// Base64 passes over line breaks, and a varint has many forms: only what
	// appendCursor writes is a cursor.
	return int64(value), cursorOf(topic, int64(value)) == cursor
}
