package tightening

import (
	"fmt"
	"math"
	"math/big"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// precision holds every integer of 64 bits, and every point in time and every
// duration in nanoseconds, exactly.
const precision = 128

func number(x int64) *big.Float { return new(big.Float).SetPrec(precision).SetInt64(x) }

// An interval is the numbers between two bounds.
type interval struct {
	low, high *big.Float
	// Whether a bound itself is left out.
	lowOpen, highOpen bool
}

func (i interval) empty() bool {
	order := i.low.Cmp(i.high)
	return order > 0 || order == 0 && (i.lowOpen || i.highOpen)
}

// covers says whether all of another interval lies in this one.
func (i interval) covers(other interval) bool {
	low, high := i.low.Cmp(other.low), i.high.Cmp(other.high)
	return (low < 0 || low == 0 && (!i.lowOpen || other.lowOpen)) &&
		(high > 0 || high == 0 && (!i.highOpen || other.highOpen))
}

// A span is the numbers that rules take: one interval, or the two outside of a
// gap, where the upper bound is below the lower one.
type span struct {
	parts []interval
	// Whether what isn't a number is taken: only where there is no bound at all.
	nan bool
}

func (s span) covers(other span) bool {
	if other.nan && !s.nan {
		return false
	}
	for _, part := range other.parts {
		covered := part.empty()
		for _, own := range s.parts {
			covered = covered || own.covers(part)
		}
		if !covered {
			return false
		}
	}
	return true
}

// normal gives whole numbers one form: bounds that are taken themselves and lie
// in the domain, and no two parts without a gap between them.
func (s span) normal(d domain) span {
	if d.step == nil {
		return s
	}
	for i := range s.parts {
		part := &s.parts[i]
		if part.lowOpen {
			part.low, part.lowOpen = number(0).Add(part.low, d.step), false
		}
		if part.highOpen {
			part.high, part.highOpen = number(0).Sub(part.high, d.step), false
		}
		if part.low.Cmp(d.all.low) < 0 {
			part.low = d.all.low
		}
		if part.high.Cmp(d.all.high) > 0 {
			part.high = d.all.high
		}
	}
	if len(s.parts) == 2 && number(0).Add(s.parts[0].high, d.step).Cmp(s.parts[1].low) >= 0 {
		s.parts = []interval{{low: s.parts[0].low, high: s.parts[1].high}}
	}
	return s
}

// A domain is what values of a kind are without any rule.
type domain struct {
	all interval
	// The distance between neighbours. Nil: there are numbers between any two.
	step *big.Float
	// Whether there are values that aren't numbers.
	nan bool
}

// The bounds that protobuf gives to a duration and to a point in time.
const (
	maxDurationSeconds  = 315_576_000_000
	minTimestampSeconds = -62_135_596_800
	maxTimestampSeconds = 253_402_300_799
	nanosecondsASecond  = 1_000_000_000
)

func nanoseconds(seconds, nanos int64) *big.Float {
	ns := number(seconds)
	return ns.Add(ns.Mul(ns, number(nanosecondsASecond)), number(nanos))
}

// domainOf returns the domain of the values that rules with a field const hold.
func domainOf(constant protoreflect.FieldDescriptor) (domain, error) {
	whole := func(low, high *big.Float) domain {
		return domain{all: interval{low: low, high: high}, step: number(1)}
	}
	switch constant.Kind() {
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return whole(number(math.MinInt32), number(math.MaxInt32)), nil
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return whole(number(math.MinInt64), number(math.MaxInt64)), nil
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return whole(number(0), number(math.MaxUint32)), nil
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return whole(number(0), number(0).SetUint64(math.MaxUint64)), nil
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return domain{all: interval{low: number(0).SetInf(true), high: number(0).SetInf(false)}, nan: true}, nil
	default:
		return messageDomain(constant)
	}
}

// messageDomain is domainOf for values that are messages.
func messageDomain(constant protoreflect.FieldDescriptor) (domain, error) {
	var low, high *big.Float
	switch {
	case constant.Message() == nil:
		return domain{}, fmt.Errorf("%s has no order", constant.FullName())
	case constant.Message().FullName() == "google.protobuf.Duration":
		low, high = nanoseconds(-maxDurationSeconds, 0), nanoseconds(maxDurationSeconds, 0)
	case constant.Message().FullName() == "google.protobuf.Timestamp":
		low, high = nanoseconds(minTimestampSeconds, 0), nanoseconds(maxTimestampSeconds, nanosecondsASecond-1)
	default:
		return domain{}, fmt.Errorf("%s has no order", constant.FullName())
	}
	return domain{all: interval{low: low, high: high}, step: number(1)}, nil
}

// numberOf turns a bound into a number. It returns false for what isn't one.
func numberOf(value protoreflect.Value) (*big.Float, bool) {
	switch v := value.Interface().(type) {
	case int32:
		return number(int64(v)), true
	case int64:
		return number(v), true
	case uint32:
		return number(int64(v)), true
	case uint64:
		return number(0).SetUint64(v), true
	case float32:
		return floating(float64(v))
	case float64:
		return floating(v)
	case protoreflect.Message:
		fields := v.Descriptor().Fields()
		return nanoseconds(v.Get(fields.ByName("seconds")).Int(), v.Get(fields.ByName("nanos")).Int()), true
	default:
		return nil, false
	}
}

func floating(v float64) (*big.Float, bool) {
	if math.IsNaN(v) {
		return nil, false
	}
	return number(0).SetFloat64(v), true
}
