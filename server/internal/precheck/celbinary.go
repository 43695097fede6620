package precheck

import (
	"bytes"
	"cmp"
	"math"
	"math/bits"

	"cel.dev/cel-go/common/operators"
)

// withTwo compiles what has two operands.
func withTwo(function string, a, b typed) typed {
	if holds, ok := comparisons[function]; ok {
		return typed{bool: compared(function, holds, a, b)}
	}
	switch {
	case a.int != nil && b.int != nil:
		return typed{int: both(a.int, b.int, intOperators[function])}
	case a.uint != nil && b.uint != nil:
		return typed{uint: both(a.uint, b.uint, uintOperators[function])}
	case a.double != nil && b.double != nil:
		return typed{double: both(a.double, b.double, doubleOperators[function])}
	case a.text != nil && b.text != nil:
		return typed{bool: part(function, a.text, b.text)}
	case a.bytes != nil && b.bytes != nil:
		return typed{bool: part(function, a.bytes, b.bytes)}
	case a.time != nil && b.duration != nil && (function == operators.Add || function == operators.Subtract):
		return typed{time: both2(a.time, b.duration, func(at, d instant) (instant, bool) {
			sum := at.plus(d, function == operators.Subtract)
			return sum, sum.readable(true)
		})}
	case a.time != nil && b.time != nil && function == operators.Subtract:
		return typed{duration: both2(a.time, b.time, func(at, from instant) (instant, bool) {
			difference := at.plus(from, true).signed()
			return difference, difference.computed()
		})}
	default:
		return typed{}
	}
}

// comparisons are by how a comparison comes out.
var comparisons = map[string]func(int) bool{
	operators.Equals: func(c int) bool { return c == 0 }, operators.NotEquals: func(c int) bool { return c != 0 },
	operators.Less: func(c int) bool { return c < 0 }, operators.LessEquals: func(c int) bool { return c <= 0 },
	operators.Greater: func(c int) bool { return c > 0 }, operators.GreaterEquals: func(c int) bool { return c >= 0 },
}

// compared compares two values of one type, or an int with a uint.
func compared(function string, holds func(int) bool, a, b typed) expr[bool] {
	equality := function == operators.Equals || function == operators.NotEquals
	switch {
	case a.int != nil && b.int != nil:
		return compare(a.int, b.int, cmp.Compare[int64], holds)
	case a.uint != nil && b.uint != nil:
		return compare(a.uint, b.uint, cmp.Compare[uint64], holds)
	case a.int != nil && b.uint != nil:
		return compare2(a.int, b.uint, compareMixed, holds)
	case a.uint != nil && b.int != nil:
		return compare2(a.uint, b.int, func(u uint64, i int64) int { return -compareMixed(i, u) }, holds)
	case a.double != nil && b.double != nil:
		return func(r *run) (bool, bool) {
			x, ok := a.double(r)
			y, alsoOK := b.double(r)
			return holds(cmp.Compare(x, y)), ok && alsoOK && !math.IsNaN(x) && !math.IsNaN(y)
		}
	case a.text != nil && b.text != nil:
		return compare(a.text, b.text, bytes.Compare, holds)
	case a.bytes != nil && b.bytes != nil:
		return compare(a.bytes, b.bytes, bytes.Compare, holds)
	case a.bool != nil && b.bool != nil && equality:
		return compare(a.bool, b.bool, func(x, y bool) int {
			if x == y {
				return 0
			}
			return 1
		}, holds)
	case a.time != nil && b.time != nil:
		return compare(a.time, b.time, instant.compare, holds)
	case a.duration != nil && b.duration != nil:
		return compare(a.duration, b.duration, instant.compare, holds)
	default:
		return nil
	}
}

func compareMixed(i int64, u uint64) int {
	if i < 0 {
		return -1
	}
	return cmp.Compare(uint64(i), u)
}

func compare[T any](a, b expr[T], by func(T, T) int, holds func(int) bool) expr[bool] {
	return compare2(a, b, by, holds)
}

func compare2[T, U any](a expr[T], b expr[U], by func(T, U) int, holds func(int) bool) expr[bool] {
	return func(r *run) (bool, bool) {
		x, ok := a(r)
		if !ok {
			return false, false
		}
		y, ok := b(r)
		return ok && holds(by(x, y)), ok
	}
}

// both computes with two values. It is nil where there is no such operator.
func both[T any](a, b expr[T], operator func(T, T) (T, bool)) expr[T] {
	if operator == nil {
		return nil
	}
	return both2(a, b, operator)
}

func both2[T, U, V any](a expr[T], b expr[U], operator func(T, U) (V, bool)) expr[V] {
	return func(r *run) (none V, _ bool) {
		x, ok := a(r)
		if !ok {
			return none, false
		}
		y, ok := b(r)
		if !ok {
			return none, false
		}
		return operator(x, y)
	}
}

// The operators are false where CEL has an error: an overflow, or a division by zero.
var (
	intOperators = map[string]func(int64, int64) (int64, bool){
		operators.Add:      func(a, b int64) (int64, bool) { return a + b, (a+b > a) == (b > 0) || b == 0 },
		operators.Subtract: func(a, b int64) (int64, bool) { return a - b, (a-b < a) == (b > 0) || b == 0 },
		operators.Multiply: multiply,
		operators.Divide: func(a, b int64) (int64, bool) {
			if b == 0 || a == math.MinInt64 && b == -1 {
				return 0, false
			}
			return a / b, true
		},
		operators.Modulo: func(a, b int64) (int64, bool) {
			if b == 0 || a == math.MinInt64 && b == -1 {
				return 0, false
			}
			return a % b, true
		},
	}
	uintOperators = map[string]func(uint64, uint64) (uint64, bool){
		operators.Add:      func(a, b uint64) (uint64, bool) { return a + b, a+b >= a },
		operators.Subtract: func(a, b uint64) (uint64, bool) { return a - b, a >= b },
		operators.Multiply: func(a, b uint64) (uint64, bool) {
			high, low := bits.Mul64(a, b)
			return low, high == 0
		},
		operators.Divide: func(a, b uint64) (uint64, bool) { return a / max(b, 1), b > 0 },
		operators.Modulo: func(a, b uint64) (uint64, bool) { return a % max(b, 1), b > 0 },
	}
	doubleOperators = map[string]func(float64, float64) (float64, bool){
		operators.Add:      func(a, b float64) (float64, bool) { return a + b, true },
		operators.Subtract: func(a, b float64) (float64, bool) { return a - b, true },
		operators.Multiply: func(a, b float64) (float64, bool) { return a * b, true },
		operators.Divide:   func(a, b float64) (float64, bool) { return a / b, true },
	}
)

// maxFactor is up to where numbers are multiplied: beyond is in doubt.
const maxFactor = math.MaxInt32

func multiply(a, b int64) (int64, bool) {
	return a * b, a <= maxFactor && a >= -maxFactor && b <= maxFactor && b >= -maxFactor || a == 1 || b == 1
}

// plus is a time after a duration, or before.
func (i instant) plus(d instant, minus bool) instant {
	if minus {
		d = instant{-d.seconds, -d.nanos}
	}
	seconds, nanos := i.seconds+d.seconds, i.nanos+d.nanos
	switch {
	case nanos < 0:
		return instant{seconds - 1, nanos + nanosPerSecond}
	case nanos >= nanosPerSecond:
		return instant{seconds + 1, nanos - nanosPerSecond}
	default:
		return instant{seconds, nanos}
	}
}

// signed gives the parts of a duration the same sign.
func (i instant) signed() instant {
	if i.seconds < 0 && i.nanos > 0 {
		return instant{i.seconds + 1, i.nanos - nanosPerSecond}
	}
	return i
}
