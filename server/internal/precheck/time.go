package precheck

import (
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// The bounds of Timestamp and Duration, in which they have a form in JSON.
const (
	minSeconds     = -62_135_596_800 // 0001-01-01T00:00:00Z
	maxSeconds     = 253_402_300_799 // 9999-12-31T23:59:59Z
	maxDuration    = 315_576_000_000 // 10,000 years
	nanosPerSecond = 1_000_000_000
	// maxComputed is up to where durations are compared: CEL's have 64 bits of
	// nanoseconds.
	maxComputed = math.MaxInt64 / nanosPerSecond
)

// instant is a time since 1970, or a duration.
type instant struct {
	seconds int64
	nanos   int32
}

func (i instant) compare(other instant) int {
	switch {
	case i.seconds < other.seconds, i.seconds == other.seconds && i.nanos < other.nanos:
		return -1
	case i == other:
		return 0
	default:
		return 1
	}
}

func instantOf(t time.Time) instant { return instant{t.Unix(), int32(t.Nanosecond())} }

// readable reports whether a Timestamp, or else a Duration, has a form in JSON.
func (i instant) readable(isTimestamp bool) bool {
	if isTimestamp {
		return i.seconds >= minSeconds && i.seconds <= maxSeconds && i.nanos >= 0 && i.nanos < nanosPerSecond
	}
	return i.seconds >= -maxDuration && i.seconds <= maxDuration && i.nanos > -nanosPerSecond && i.nanos < nanosPerSecond &&
		(i.seconds == 0 || i.nanos == 0 || i.seconds < 0 == (i.nanos < 0))
}

// timeRule is what a Timestamp or a Duration has to be.
type timeRule struct {
	timestamp bool
	checks    []func(instant) bool
}

func (t *timeRule) holds(i instant) bool {
	if !i.readable(t.timestamp) {
		return false
	}
	if !t.timestamp && len(t.checks) > 0 && (i.seconds >= maxComputed || i.seconds <= -maxComputed) {
		return false
	}
	for _, holds := range t.checks {
		if !holds(i) {
			return false
		}
	}
	return true
}

// time checks a Timestamp or a Duration.
func (r *run) time(f *field, frame, pos, end int) bool {
	i, ok := readInstant(r.data[pos:end])
	if !ok || !f.time.holds(i) {
		return false
	}
	return f.slot < 0 || r.store(frame, f, uint64(i.seconds), i.nanos)
}

// readInstant reads the seconds and then the nanos, each of which is there where it
// isn't 0.
func readInstant(data []byte) (i instant, ok bool) {
	const seconds, nanos = 1 << 3, 2 << 3 // The tags.
	if len(data) > 0 && data[0] == seconds {
		v, n := protowire.ConsumeVarint(data[1:])
		if n < 0 || v == 0 {
			return i, false
		}
		i.seconds, data = int64(v), data[1+n:]
	}
	if len(data) > 0 && data[0] == nanos {
		v, n := protowire.ConsumeVarint(data[1:])
		if n < 0 || v == 0 || int64(v) != int64(int32(v)) {
			return i, false
		}
		i.nanos, data = int32(v), data[1+n:]
	}
	return i, len(data) == 0
}
