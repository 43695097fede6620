package tightening

import (
	"fmt"
	"math/big"
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// compareNumbers compares all rules about which numbers are taken, as the sets that
// they make together.
func compareNumbers(c comparison) {
	if c.was.Descriptor() == c.is.Descriptor() && !c.differ(numberNames...) && c.wasOf.enum == nil {
		return
	}
	d, err := domainOf(c.was.Descriptor().Fields().ByName("const"))
	if err != nil {
		c.unknownf(c.at, "%v", err)
		return
	}
	was, err := c.taken(c.was, c.wasOf, numberNames)
	if err != nil {
		c.unknownf(c.at, "%v", err)
		return
	}
	if c.nonzero && d.step != nil { // A floating zero may be negative, which counts as set.
		was = was.without(number(0)).normal(d)
	}
	is, err := c.taken(c.is, c.isOf, numberNames)
	if err != nil {
		c.unknownf(c.at, "%v", err)
		return
	}
	if is.covers(was) {
		return
	}
	before, after := c.show(c.was, numberNames...), c.show(c.is, numberNames...)
	if d.step != nil {
		if n := was.example(is, d.step); n != nil {
			c.addf(c.guilty(was), "no longer takes %s: it was %s, it is %s", c.showNumber(n), before, after)
			return
		}
	}
	c.addf(c.guilty(was), "takes fewer values: it was %s, it is %s", before, after)
}

var (
	lowerNames = []protoreflect.Name{"gt", "gte"}
	upperNames = []protoreflect.Name{"lt", "lte"}
	boundNames = slices.Concat(lowerNames, upperNames, []protoreflect.Name{"finite"})
	// numberNames are all rules about which numbers are taken.
	numberNames = slices.Concat([]protoreflect.Name{"const", "in", "not_in", "defined_only"}, boundNames)
)

// guilty returns the place of the rule that by itself takes less than was.
func (c comparison) guilty(was span) place {
	for _, name := range numberNames[:len(numberNames)-len(boundNames)] {
		field := c.is.Descriptor().Fields().ByName(name)
		if field == nil || !c.is.Has(field) || !c.differ(name) {
			continue
		}
		if alone, err := c.taken(c.is, c.isOf, []protoreflect.Name{name}); err == nil && !alone.covers(was) {
			return c.at.field(field)
		}
	}
	if is, err := c.taken(c.is, c.isOf, boundNames); err == nil {
		return c.blame(sideOf(was, is)...)
	}
	return c.blame(boundNames...)
}

// showNumber writes a number of the kind down.
func (c comparison) showNumber(n *big.Float) string {
	whole, _ := n.Int(nil)
	switch {
	case c.isOf.enum != nil && whole.IsInt64():
		if named := c.isOf.enum.Values().ByNumber(protoreflect.EnumNumber(whole.Int64())); named != nil {
			return string(named.Name())
		}
	case c.is.Descriptor().Fields().ByName("const").Kind() == protoreflect.BoolKind:
		return fmt.Sprint(whole.Sign() != 0)
	case c.is.Descriptor().Fields().ByName("const").Message() != nil:
		return whole.String() + "ns"
	}
	return whole.String()
}

// taken returns the numbers that some of the rules of a kind take together.
func (c comparison) taken(rules protoreflect.Message, of subject, names []protoreflect.Name) (span, error) {
	fields := rules.Descriptor().Fields()
	d, err := domainOf(fields.ByName("const"))
	if err != nil {
		return span{}, err
	}
	result, err := boundedBy(rules, d, names)
	if err != nil {
		return span{}, err
	}
	// What isn't a number is equal to nothing, not to itself either.
	numbers := func(values ...protoreflect.Value) (list []*big.Float) {
		for _, value := range values {
			if n, ok := numberOf(value); ok {
				list = append(list, n)
			}
		}
		return list
	}
	for _, name := range names {
		field := fields.ByName(name)
		if field == nil || !rules.Has(field) {
			continue
		}
		switch value := rules.Get(field); name {
		case "const":
			result = result.intersect(points(numbers(value)))
		case "in":
			result = result.intersect(points(numbers(elements(value.List())...)))
		case "not_in":
			for _, n := range numbers(elements(value.List())...) {
				result = result.without(n)
			}
		case "defined_only":
			if value.Bool() && of.enum != nil {
				result = result.intersect(points(definedIn(of.enum)))
			}
		}
	}
	return result.normal(d), nil
}

// definedIn returns the numbers of an enum.
func definedIn(enum protoreflect.EnumDescriptor) []*big.Float {
	numbers := make([]*big.Float, enum.Values().Len())
	for i := range numbers {
		numbers[i] = number(int64(enum.Values().Get(i).Number()))
	}
	return numbers
}

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

// boundedBy returns the numbers that the bounds among the rules of a kind take, as
// protovalidate reads them: where the upper bound is below the lower one, they
// take what is outside of the gap.
func boundedBy(rules protoreflect.Message, d domain, names []protoreflect.Name) (span, error) {
	below, above := d.all, d.all // What is under the upper bound, over the lower one.
	hasUpper, hasLower := false, false
	for _, name := range slices.Concat(lowerNames, upperNames) {
		field := rules.Descriptor().Fields().ByName(name)
		if field == nil || !rules.Has(field) || !slices.Contains(names, name) {
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
	if finite := rules.Descriptor().Fields().ByName("finite"); finite != nil && rules.Get(finite).Bool() && slices.Contains(names, "finite") {
		result.nan = false
		for i := range result.parts {
			part := &result.parts[i]
			part.lowOpen = part.lowOpen || part.low.IsInf()
			part.highOpen = part.highOpen || part.high.IsInf()
		}
	}
	return result, nil
}
