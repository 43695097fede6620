package tightening

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// compareBounds compares what lies between the bounds of numbers, durations and
// points in time.
func compareBounds(c comparison) {
	constant := c.is.Descriptor().Fields().ByName("const")
	d, err := domainOf(constant)
	if err != nil {
		c.addf(c.at, "can't be compared: %v", err)
		return
	}
	if !c.differ(boundNames...) {
		return
	}
	was, err := spanOf(c.was, d)
	if err != nil {
		c.addf(c.at, "can't be compared: %v", err)
		return
	}
	is, err := spanOf(c.is, d)
	if err != nil {
		c.addf(c.at, "can't be compared: %v", err)
		return
	}
	if !is.covers(was) {
		c.addf(c.blame(sideOf(was, is)...), "takes fewer values: it was %s, it is %s", c.show(c.was, boundNames...), c.show(c.is, boundNames...))
	}
}

var (
	lowerNames = []protoreflect.Name{"gt", "gte"}
	upperNames = []protoreflect.Name{"lt", "lte"}
	boundNames = slices.Concat(lowerNames, upperNames, []protoreflect.Name{"finite"})
)

// sideOf returns the rules to blame for a span that lost something, the likely
// ones first.
func sideOf(was, is span) []protoreflect.Name {
	if len(was.parts) == 1 && len(is.parts) == 1 {
		low, all := is.parts[0], was.parts[0]
		low.high, low.highOpen = all.high, all.highOpen
		if low.covers(all) { // The lower bound is as it was.
			return slices.Concat(upperNames, boundNames)
		}
	}
	return boundNames
}

// spanOf returns the numbers that the bounds in the rules of a kind take, as
// protovalidate reads them: where the upper bound is below the lower one, they
// take what is outside of the gap.
func spanOf(rules protoreflect.Message, d domain) (span, error) {
	below, above := d.all, d.all // What is under the upper bound, over the lower one.
	hasUpper, hasLower := false, false
	for _, name := range slices.Concat(lowerNames, upperNames) {
		field := rules.Descriptor().Fields().ByName(name)
		if !rules.Has(field) {
			continue
		}
		bound, ok := numberOf(rules.Get(field))
		if !ok {
			return span{}, fmt.Errorf("the bound %v is not a number", rules.Get(field))
		}
		switch name {
		case "lt", "lte":
			below.high, below.highOpen, hasUpper = bound, name == "lt", true
		default:
			above.low, above.lowOpen, hasLower = bound, name == "gt", true
		}
	}
	result := span{nan: d.nan && !hasUpper && !hasLower}
	if hasUpper && hasLower && below.high.Cmp(above.low) < 0 {
		result.parts = []interval{below, above}
	} else {
		result.parts = []interval{{low: above.low, lowOpen: above.lowOpen, high: below.high, highOpen: below.highOpen}}
	}
	if finite := rules.Descriptor().Fields().ByName("finite"); finite != nil && rules.Get(finite).Bool() {
		result.nan = false
		for i := range result.parts {
			part := &result.parts[i]
			part.lowOpen = part.lowOpen || part.low.IsInf()
			part.highOpen = part.highOpen || part.high.IsInf()
		}
	}
	return result.normal(d), nil
}
