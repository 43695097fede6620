package jsonwire

import (
	"bytes"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// The bounds of Timestamp and Duration, as their own comments say them.
const (
	minTimestamp = -62_135_596_800 // 0001-01-01T00:00:00Z
	maxTimestamp = 253_402_300_799 // 9999-12-31T23:59:59Z
	maxDuration  = 315_576_000_000
	maxNanos     = 999_999_999
	nanoDigits   = 9
)

// timestampFromJSON appends a Timestamp that is a time of RFC 3339.
func (r *run) timestampFromJSON() bool {
	raw, ok := r.plain()
	var at time.Time
	if !ok || !isTime(raw) || at.UnmarshalText(raw) != nil {
		return false
	}
	seconds := at.Unix()
	r.appendTime(seconds, int64(at.Nanosecond()))
	return seconds >= minTimestamp && seconds <= maxTimestamp
}

// isTime reports whether a text, which Go may take for a time of RFC 3339, is one, and
// has no more digits than a Timestamp.
func isTime(text []byte) bool {
	const hour, seconds = len("2006-01-02T15"), len("2006-01-02T15:04:05")
	if len(text) <= seconds || text[hour] != ':' || text[seconds] == ',' ||
		text[seconds] == '.' && digits(text, seconds+1) > seconds+1+nanoDigits {
		return false
	}
	offset := text[len(text)-len("00:00"):]
	return text[len(text)-1] == 'Z' || offset[0] < '2' && offset[3] < '6'
}

// durationFromJSON appends a Duration that is a number of seconds such as 1.5s.
func (r *run) durationFromJSON() bool {
	raw, ok := r.plain()
	text, isSeconds := bytes.CutSuffix(raw, []byte("s"))
	if !ok || !isSeconds {
		return false
	}
	text, negative := bytes.CutPrefix(text, []byte("-"))
	before, after, hasFraction := bytes.Cut(text, []byte("."))
	_, seconds, ok := whole(before)
	if !ok || before[0] == '-' || seconds > maxDuration {
		return false
	}
	var nanos int64
	if hasFraction {
		if len(after) == 0 || len(after) > nanoDigits || digits(after, 0) != len(after) {
			return false
		}
		for i := range nanoDigits {
			nanos *= 10
			if i < len(after) {
				nanos += int64(after[i] - '0')
			}
		}
	}
	sign := int64(1)
	if negative {
		sign = -1
	}
	r.appendTime(sign*int64(seconds), sign*nanos)
	return true
}

// appendTime appends the fields of a Timestamp or a Duration.
func (r *run) appendTime(seconds, nanos int64) {
	for number, v := range [...]int64{1: seconds, 2: nanos} {
		if v != 0 {
			r.out = protowire.AppendTag(r.out, protowire.Number(number), protowire.VarintType)
			r.out = protowire.AppendVarint(r.out, uint64(v))
		}
	}
}

// timeOf reads the fields of a Timestamp or a Duration.
func timeOf(encoded []byte) (seconds, nanos int64, ok bool) {
	for last := protowire.Number(0); len(encoded) > 0; {
		number, wire, n := protowire.ConsumeTag(encoded)
		if n < 0 || wire != protowire.VarintType || number <= last || number > 2 {
			return 0, 0, false
		}
		v, size := protowire.ConsumeVarint(encoded[n:])
		if size < 0 {
			return 0, 0, false
		}
		if number == 1 {
			seconds = int64(v)
		} else if nanos = int64(v); nanos != int64(int32(v)) {
			return 0, 0, false
		}
		encoded, last = encoded[n+size:], number
	}
	return seconds, nanos, true
}

func (r *run) timestampToJSON(encoded []byte) bool {
	seconds, nanos, ok := timeOf(encoded)
	if !ok || seconds < minTimestamp || seconds > maxTimestamp || nanos < 0 || nanos > maxNanos {
		return false
	}
	r.out = append(r.out, '"')
	r.out = time.Unix(seconds, 0).UTC().AppendFormat(r.out, time.RFC3339)
	r.out = appendNanos(r.out[:len(r.out)-1], nanos)
	r.out = append(r.out, 'Z', '"')
	return true
}

func (r *run) durationToJSON(encoded []byte) bool {
	seconds, nanos, ok := timeOf(encoded)
	if !ok || seconds < -maxDuration || seconds > maxDuration || nanos < -maxNanos || nanos > maxNanos ||
		seconds > 0 && nanos < 0 || seconds < 0 && nanos > 0 {
		return false
	}
	r.out = append(r.out, '"')
	if seconds < 0 || nanos < 0 {
		r.out = append(r.out, '-')
		seconds, nanos = -seconds, -nanos
	}
	r.out = appendNanos(strconv.AppendInt(r.out, seconds, 10), nanos)
	r.out = append(r.out, 's', '"')
	return true
}

// appendNanos appends a fraction of 0, 3, 6 or 9 digits.
func appendNanos(dst []byte, nanos int64) []byte {
	if nanos == 0 {
		return dst
	}
	dst = append(dst, '.')
	begin := len(dst)
	for unit := int64(100_000_000); unit > 0; unit /= 10 {
		dst = append(dst, '0'+byte(nanos/unit%10))
	}
	for len(dst) > begin && string(dst[len(dst)-3:]) == "000" {
		dst = dst[:len(dst)-3]
	}
	return dst
}
