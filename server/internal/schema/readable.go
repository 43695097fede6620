package schema

import (
	"fmt"
	"math"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Protobuf's JSON form doesn't exist for every value that its binary form can
// carry: a Timestamp in year 10000, a Duration whose parts have two signs, a
// Value that is NaN, an Any of a type that nobody knows. An event with such a
// value would be accepted and then break every reader that asks for JSON, so
// it is refused instead.

// checkOf returns the check of a message's own value, or nil where it needs none.
func checkOf(message protoreflect.MessageDescriptor) func(protoreflect.Message) string {
	// A check is part of every publish, so it looks up no fields itself.
	fields := message.Fields()
	switch message.FullName() {
	case "google.protobuf.Timestamp":
		seconds, nanos := fields.ByNumber(1), fields.ByNumber(2)
		return func(m protoreflect.Message) string {
			if !isTimestamp(m.Get(seconds).Int(), m.Get(nanos).Int()) {
				return "must be a time from year 1 to 9999"
			}
			return ""
		}
	case "google.protobuf.Duration":
		seconds, nanos := fields.ByNumber(1), fields.ByNumber(2)
		return func(m protoreflect.Message) string {
			if !isDuration(m.Get(seconds).Int(), m.Get(nanos).Int()) {
				return "must be a duration of at most 10,000 years, its seconds and nanos with the same sign"
			}
			return ""
		}
	case "google.protobuf.FieldMask":
		field := fields.ByNumber(1)
		return func(m protoreflect.Message) string {
			paths := m.Get(field).List()
			for i := range paths.Len() {
				if path := paths.Get(i).String(); !reversible(path) {
					return fmt.Sprintf("%q is not a path of field names in lower_snake_case", path)
				}
			}
			return ""
		}
	case "google.protobuf.Value":
		return checkValue
	default:
		return checkNames(fields)
	}
}

// checkNames returns the check that no two values of a message have the same name
// in JSON, which schemas other than proto3's may give, nor that of the type in an
// Any. It is nil where no fields have.
func checkNames(fields protoreflect.FieldDescriptors) func(protoreflect.Message) string {
	byName := make(map[string]protoreflect.FieldDescriptor, fields.Len())
	var pairs [][2]protoreflect.FieldDescriptor
	for i := range fields.Len() {
		field := fields.Get(i)
		other := byName[field.JSONName()]
		if other != nil || field.JSONName() == "@type" {
			pairs = append(pairs, [2]protoreflect.FieldDescriptor{field, other})
		}
		byName[field.JSONName()] = field
	}
	if pairs == nil {
		return nil
	}
	return func(m protoreflect.Message) string {
		for _, pair := range pairs {
			switch field, other := pair[0], pair[1]; {
			case !m.Has(field):
			case other == nil:
				return fmt.Sprintf("%s has the name @type in JSON, which is that of the type", field.Name())
			case m.Has(other):
				return fmt.Sprintf("%s and %s have the same name in JSON, %s", other.Name(), field.Name(), field.JSONName())
			}
		}
		return ""
	}
}

// The bounds of Timestamp and Duration, as their own comments say them.
const (
	minTimestamp   = -62_135_596_800 // 0001-01-01T00:00:00Z
	maxTimestamp   = 253_402_300_799 // 9999-12-31T23:59:59Z
	maxDuration    = 315_576_000_000 // 10,000 years of 365.25 days
	nanosPerSecond = 1_000_000_000
)

func isTimestamp(seconds, nanos int64) bool {
	return seconds >= minTimestamp && seconds <= maxTimestamp && nanos >= 0 && nanos < nanosPerSecond
}

func isDuration(seconds, nanos int64) bool {
	sameSign := seconds == 0 || nanos == 0 || seconds < 0 == (nanos < 0)
	return sameSign && seconds >= -maxDuration && seconds <= maxDuration && nanos > -nanosPerSecond && nanos < nanosPerSecond
}

// reversible reports whether a path comes back from its JSON form, which is in
// lowerCamelCase.
func reversible(path string) bool {
	for part := range strings.SplitSeq(path, ".") {
		if !protoreflect.Name(part).IsValid() {
			return false
		}
	}
	for i, c := range path {
		if c >= 'A' && c <= 'Z' || c == '_' && (i+1 == len(path) || path[i+1] < 'a' || path[i+1] > 'z') {
			return false
		}
	}
	return true
}

func checkValue(m protoreflect.Message) string {
	kind := m.WhichOneof(m.Descriptor().Oneofs().ByName("kind"))
	if kind == nil {
		return "must have a kind"
	}
	if kind.Kind() == protoreflect.DoubleKind {
		if f := m.Get(kind).Float(); math.IsNaN(f) || math.IsInf(f, 0) {
			return "must be a finite number"
		}
	}
	return ""
}
