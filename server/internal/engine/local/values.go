package local

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/eventlog"
)

// recordFormat is the form of record values that this release writes, and
// oldRecordFormat that of releases until 0.2.0, which had another index of keys
// beside them.
const (
	recordFormat    = 2
	oldRecordFormat = 1
)

// recordHeader is the size of what comes before the data of a record: the form,
// whether its events have keys, their number, the time and the bytes.
const recordHeader = 1 + 1 + 2 + 8 + 8

// keyed says that events of the record have partition keys.
const keyed = 1

// recordInfo is what a record's value says besides the data.
type recordInfo struct {
	keyed bool
	// count is the number of events.
	count int
	// time is when it was stored, in nanoseconds since 1970.
	time int64
	// bytes is what the records of the topic took, up to and with this one, those
	// that retention has removed included.
	bytes uint64
}

func (r recordInfo) put(value []byte) {
	value[0], value[1] = recordFormat, 0
	if r.keyed {
		value[1] = keyed
	}
	binary.BigEndian.PutUint16(value[2:], uint16(r.count))
	binary.BigEndian.PutUint64(value[4:], uint64(r.time))
	binary.BigEndian.PutUint64(value[12:], r.bytes)
}

// recordBytes is what a record with data of a size takes.
func recordBytes(data int) uint64 { return uint64(numberKeySize + recordHeader + data) }

// parseRecord returns what a record's value says, and its data, a view of it.
func parseRecord(value []byte) (info recordInfo, data []byte, err error) {
	if len(value) <= recordHeader {
		return info, nil, fmt.Errorf("a record of %d bytes", len(value))
	}
	if value[0] < oldRecordFormat || value[0] > recordFormat || value[1] > keyed {
		return info, nil, fmt.Errorf("form %d.%d of a record is not known", value[0], value[1])
	}
	info = recordInfo{
		keyed: value[1] == keyed,
		count: int(binary.BigEndian.Uint16(value[2:])),
		time:  int64(binary.BigEndian.Uint64(value[4:])),
		bytes: binary.BigEndian.Uint64(value[12:]),
	}
	if info.count == 0 || info.count > eventlog.MaxEvents {
		return info, nil, fmt.Errorf("a record of %d events", info.count)
	}
	return info, value[recordHeader:], nil
}

// record is a record as it is read, at the sequence of its first event.
func (r recordInfo) record(first int64, data []byte) engine.Record {
	return engine.Record{First: first, Last: first + int64(r.count) - 1, Time: time.Unix(0, r.time), Data: data}
}

// identity is what an identity was stored for.
type identity struct {
	// sequence is that of the event, or of the first of the request.
	sequence int64
	// time is when it was stored, in nanoseconds since 1970.
	time int64
	// hash is that of the content.
	hash uint64
}

const identitySize = 8 + 8 + 8

func (i identity) put(value []byte) {
	binary.BigEndian.PutUint64(value, uint64(i.sequence))
	binary.BigEndian.PutUint64(value[8:], uint64(i.time))
	binary.BigEndian.PutUint64(value[16:], i.hash)
}

// errSize says that a value isn't of the size that all of its kind have.
var errSize = broken(errors.New("the value has another size"))

func parseIdentity(value []byte) (identity, error) {
	if len(value) != identitySize {
		return identity{}, errSize
	}
	return identity{
		sequence: int64(binary.BigEndian.Uint64(value)),
		time:     int64(binary.BigEndian.Uint64(value[8:])),
		hash:     binary.BigEndian.Uint64(value[16:]),
	}, nil
}

const idSize = len(engine.ID{})

// expiryHeader is the size of what comes before the identities: the time.
const expiryHeader = 8

// parseExpiry returns when identities were stored, and them, a view of the
// value.
func parseExpiry(value []byte) (at int64, ids []byte, err error) {
	if len(value) < expiryHeader || (len(value)-expiryHeader)%idSize != 0 {
		return 0, nil, errSize
	}
	return int64(binary.BigEndian.Uint64(value)), value[expiryHeader:], nil
}

// tail is what a topic remembers of its last record.
type tail struct {
	// last is the sequence of the last event. 0: there never was one.
	last int64
	// time is when it was stored, in nanoseconds since 1970, or 0.
	time int64
	// bytes is what the records took, those that are gone included.
	bytes uint64
}

const tailSize = 8 + 8 + 8

func (t tail) encode() []byte {
	value := make([]byte, 0, tailSize)
	value = binary.BigEndian.AppendUint64(value, uint64(t.last))
	value = binary.BigEndian.AppendUint64(value, uint64(t.time))
	return binary.BigEndian.AppendUint64(value, t.bytes)
}

func parseTail(value []byte) (tail, error) {
	if len(value) != tailSize {
		return tail{}, errSize
	}
	return tail{
		last:  int64(binary.BigEndian.Uint64(value)),
		time:  int64(binary.BigEndian.Uint64(value[8:])),
		bytes: binary.BigEndian.Uint64(value[16:]),
	}, nil
}

func encodeNumber(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

func parseNumber(value []byte) (int64, error) {
	if len(value) != 8 {
		return 0, errSize
	}
	return int64(binary.BigEndian.Uint64(value)), nil
}
