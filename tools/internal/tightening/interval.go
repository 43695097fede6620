package tightening

import (
	"fmt"
	"math"
	"math/big"
	"slices"

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

// covers reports whether all of another interval lies in this one.
func (i interval) covers(other interval) bool {
	low, high := i.low.Cmp(other.low), i.high.Cmp(other.high)
	return (low < 0 || low == 0 && (!i.lowOpen || other.lowOpen)) &&
		(high > 0 || high == 0 && (!i.highOpen || other.highOpen))
}

// intersect returns what lies in both.
func (i interval) intersect(other interval) interval {
	switch order := i.low.Cmp(other.low); {
	case order < 0:
		i.low, i.lowOpen = other.low, other.lowOpen
	case order == 0:
		i.lowOpen = i.lowOpen || other.lowOpen
	}
	switch order := i.high.Cmp(other.high); {
	case order > 0:
		i.high, i.highOpen = other.high, other.highOpen
	case order == 0:
		i.highOpen = i.highOpen || other.highOpen
	}
	return i
}

// A span is the numbers that rules take, as intervals.
type span struct {
	parts []interval
	// Whether what isn't a number is taken.
	nan bool
}

// points returns the span of single numbers.
func points(numbers []*big.Float) span {
	var s span
	for _, n := range numbers {
		s.parts = append(s.parts, interval{low: n, high: n})
	}
	return s
}

// covers reports whether all of another span lies in this one. Both are normal.
func (s span) covers(other span) bool {
	return (s.nan || !other.nan) && !slices.ContainsFunc(other.parts, func(part interval) bool {
		return !slices.ContainsFunc(s.parts, func(own interval) bool { return own.covers(part) })
	})
}

func (s span) intersect(other span) span {
	both := span{nan: s.nan && other.nan}
	for _, a := range s.parts {
		for _, b := range other.parts {
			both.parts = append(both.parts, a.intersect(b))
		}
	}
	return both
}

// without returns a span that lacks one number.
func (s span) without(n *big.Float) span {
	rest := span{nan: s.nan}
	for _, part := range s.parts {
		below, above := part, part
		if part.high.Cmp(n) >= 0 {
			below.high, below.highOpen = n, true
		}
		if part.low.Cmp(n) <= 0 {
			above.low, above.lowOpen = n, true
		}
		if part.low.Cmp(n) > 0 || part.high.Cmp(n) < 0 { // It isn't in there.
			rest.parts = append(rest.parts, part)
			continue
		}
		rest.parts = append(rest.parts, below, above)
	}
	return rest
}

// normal gives a span the one form that it has in a domain: intervals in order, none
// of them empty, and none that could be joined with the next one. Whole numbers have
// bounds that are taken themselves.
func (s span) normal(d domain) span {
	parts := s.intersect(span{parts: []interval{d.all}, nan: d.nan}).parts
	if d.step != nil {
		for i := range parts {
			part := &parts[i]
			if part.lowOpen {
				part.low, part.lowOpen = number(0).Add(part.low, d.step), false
			}
			if part.highOpen {
				part.high, part.highOpen = number(0).Sub(part.high, d.step), false
			}
		}
	}
	parts = slices.DeleteFunc(parts, interval.empty)
	slices.SortFunc(parts, func(a, b interval) int { return a.low.Cmp(b.low) })
	joined := span{nan: s.nan}
	for _, part := range parts {
		if last := len(joined.parts) - 1; last >= 0 && joined.parts[last].touches(part, d.step) {
			if own := &joined.parts[last]; own.high.Cmp(part.high) < 0 {
				own.high, own.highOpen = part.high, part.highOpen
			} else if own.high.Cmp(part.high) == 0 {
				own.highOpen = own.highOpen && part.highOpen
			}
			continue
		}
		joined.parts = append(joined.parts, part)
	}
	return joined
}

// touches reports whether nothing lies between an interval and one that begins
// later, where numbers are a step apart, or nil.
func (i interval) touches(next interval, step *big.Float) bool {
	if step != nil {
		return number(0).Add(i.high, step).Cmp(next.low) >= 0
	}
	order := i.high.Cmp(next.low)
	return order > 0 || order == 0 && (!i.highOpen || !next.lowOpen)
}

// example returns a whole number that is in a span and not in another one. Nil: none
// was found.
func (s span) example(notIn span, step *big.Float) *big.Float {
	candidates := func(parts []interval, by *big.Float) (edges []*big.Float) {
		for _, part := range parts {
			edges = append(edges, number(0).Sub(part.low, by), number(0).Add(part.high, by))
		}
		return edges
	}
	// Where the other one ends, and else where this one begins and ends.
	for _, n := range slices.Concat(candidates(notIn.parts, step), candidates(s.parts, number(0))) {
		if one := points([]*big.Float{n}); s.covers(one) && !notIn.covers(one) {
			return n
		}
	}
	return nil
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

// isNumber reports whether the rules of a kind are about numbers, or what is as good
// as one: bools, the values of enums, durations and points in time.
func isNumber(kind protoreflect.FieldDescriptor) bool {
	constant := kind.Message().Fields().ByName("const")
	if constant == nil {
		return false
	}
	_, err := domainOf(constant)
	return err == nil
}

// domainOf returns the domain of the values that rules with a field const hold.
func domainOf(constant protoreflect.FieldDescriptor) (domain, error) {
	whole := func(low, high *big.Float) domain {
		return domain{all: interval{low: low, high: high}, step: number(1)}
	}
	switch constant.Kind() {
	case protoreflect.BoolKind:
		return whole(number(0), number(1)), nil
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
	case bool:
		if v {
			return number(1), true
		}
		return number(0), true
	case protoreflect.EnumNumber:
		return number(int64(v)), true
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
