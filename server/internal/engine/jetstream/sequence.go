package jetstream

import (
	"math"

	"example.com/tidings/server/internal/eventlog"
)

// The sequence of an event is that of its record in the stream × 4,096 + the
// event's index in the record.

func sequenceOf(record uint64, index int) int64 {
	return int64(record)*eventlog.MaxEvents + int64(index)
}

// split returns the sequence of an event's record and the event's index.
func split(sequence int64) (record uint64, index int) {
	return uint64(sequence) / eventlog.MaxEvents, int(sequence % eventlog.MaxEvents)
}

// lastOf is the highest sequence that is a record's.
func lastOf(record uint64) int64 { return sequenceOf(record, eventlog.MaxEvents-1) }

// never is the sequence of a record that there will never be.
const never = math.MaxInt64
