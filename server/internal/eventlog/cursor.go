package eventlog

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
)

// A cursor is the position after an event: six bytes that tell the topic from
// every other, the event's sequence as a varint, and a byte that tells a
// mistyped cursor, in base64url. For the last event of a record it is the highest
// sequence that is the record's, which says that the whole record has been read.

// AppendCursor adds the cursor of a position in the topic with a uid to b.
func AppendCursor(b []byte, uid uint64, sequence int64) []byte {
	var raw [6 + binary.MaxVarintLen64 + 1]byte
	binary.BigEndian.PutUint64(raw[:], uid)
	n := 6 + binary.PutUvarint(raw[6:], uint64(sequence))
	raw[n] = check(raw[:n])
	return base64.RawURLEncoding.AppendEncode(b, raw[:n+1])
}

// check is the last byte of a CRC-32. The package of that name would have its argument
// allocated.
func check(b []byte) byte {
	sum := ^uint32(0)
	for _, c := range b {
		sum = crc32.IEEETable[byte(sum)^c] ^ sum>>8
	}
	return byte(^sum)
}

// Cursor returns the cursor of a position in the topic with a uid.
func Cursor(uid uint64, sequence int64) string {
	return string(AppendCursor(nil, uid, sequence))
}

// ParseCursor returns the sequence in a cursor of the topic with a uid.
func ParseCursor(uid uint64, cursor string) (sequence int64, ok bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(raw) < 8 {
		return 0, false
	}
	var topic [8]byte
	binary.BigEndian.PutUint64(topic[:], uid)
	body := raw[:len(raw)-1]
	value, n := binary.Uvarint(body[6:])
	if string(body[:6]) != string(topic[:6]) || n != len(body)-6 || check(body) != raw[len(raw)-1] || value > 1<<63-1 {
		return 0, false
	}
	// Base64 passes over line breaks, and a varint has many forms: only what
	// AppendCursor writes is a cursor.
	return int64(value), Cursor(uid, int64(value)) == cursor
}
