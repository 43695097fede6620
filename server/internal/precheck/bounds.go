package precheck

// bounds are the lower and the upper bound that rules give. Where the upper is below
// the lower, a value has to be outside of both.
type bounds[T any] struct {
	low, high         T
	hasLow, hasHigh   bool
	openLow, openHigh bool // The bound itself is out of bounds.
	compare           func(T, T) int
}

// bound takes a rule for a bound. It is false for another rule.
func (b *bounds[T]) bound(name string, value T) bool {
	switch name {
	case "gt", "gte":
		b.low, b.hasLow, b.openLow = value, true, name == "gt"
	case "lt", "lte":
		b.high, b.hasHigh, b.openHigh = value, true, name == "lt"
	default:
		return false
	}
	return true
}

func (b *bounds[T]) some() bool { return b.hasLow || b.hasHigh }

func (b *bounds[T]) holds(v T) bool {
	above, below := true, true
	if b.hasLow {
		c := b.compare(v, b.low)
		above = c > 0 || c == 0 && !b.openLow
	}
	if b.hasHigh {
		c := b.compare(v, b.high)
		below = c < 0 || c == 0 && !b.openHigh
	}
	if b.hasLow && b.hasHigh && b.compare(b.high, b.low) < 0 {
		return above || below
	}
	return above && below
}
