package tightening

import (
	"slices"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// A check compares some of the rules of a kind.
type check struct {
	// claims are the rules that it compares. A kind may lack some of them.
	claims []protoreflect.Name
	// Nil: nothing that the rules say makes a value invalid.
	compare func(comparison)
}

// kinds are the checks of the rules of each kind, by the name that the field of
// FieldRules has. Together they claim every rule.
var kinds = map[protoreflect.Name][]check{
	"float":    numberChecks,
	"double":   numberChecks,
	"int32":    numberChecks,
	"int64":    numberChecks,
	"uint32":   numberChecks,
	"uint64":   numberChecks,
	"sint32":   numberChecks,
	"sint64":   numberChecks,
	"fixed32":  numberChecks,
	"fixed64":  numberChecks,
	"sfixed32": numberChecks,
	"sfixed64": numberChecks,
	"duration": numberChecks,
	"timestamp": append(slices.Clone(numberChecks),
		// They depend on when a value is looked at.
		check{claims: []protoreflect.Name{"lt_now"}, compare: compareFlag("lt_now")},
		check{claims: []protoreflect.Name{"gt_now"}, compare: compareFlag("gt_now")},
		check{claims: []protoreflect.Name{"within"}, compare: compareWithin},
	),
	"bool": numberChecks,
	"enum": numberChecks,
	"string": {
		valuesCheck, exampleCheck, wordsCheck,
		{claims: append(inCharacters.names(), inBytes.names()...), compare: compareLengths},
		formatCheck((*validate.StringRules)(nil).ProtoReflect().Descriptor()),
	},
	"bytes": {
		valuesCheck, exampleCheck, wordsCheck, inCharacters.check(),
		formatCheck((*validate.BytesRules)(nil).ProtoReflect().Descriptor()),
	},
	"field_mask": {
		exampleCheck, namesCheck(covered),
		{claims: []protoreflect.Name{"const"}, compare: compareConst},
	},
	"any": {namesCheck(func(name, by string) bool { return name == by })},
	// What is in them has rules of its own, of any kind: see compareField.
	"repeated": {
		inItems.check(), {claims: []protoreflect.Name{"items"}},
		{claims: []protoreflect.Name{"unique"}, compare: compareUnique},
	},
	"map": {inPairs.check(), {claims: []protoreflect.Name{"keys", "values"}}},
}

var (
	numberChecks = []check{exampleCheck, {claims: numberNames, compare: compareNumbers}}
	valuesCheck  = check{claims: []protoreflect.Name{"const", "in", "not_in"}, compare: compareValues}
	wordsCheck   = check{claims: wordNames, compare: compareWords}
	exampleCheck = check{claims: []protoreflect.Name{"example"}}
)

// compareFlag returns a comparison of a rule that demands something when it is on.
func compareFlag(name protoreflect.Name) func(comparison) {
	return func(c comparison) {
		field := c.is.Descriptor().Fields().ByName(name)
		if c.is.Get(field).Bool() && !c.was.Get(field).Bool() {
			c.addf(c.at.field(field), "was added")
		}
	}
}

// compareUnique lets a list of one element pass: it has nothing twice.
func compareUnique(c comparison) {
	if inItems.of(c.was).high > 1 {
		compareFlag("unique")(c)
	}
}

// compareWithin compares how far from the present a point in time may be.
func compareWithin(c comparison) {
	field := c.is.Descriptor().Fields().ByName("within")
	if !c.is.Has(field) {
		return
	}
	if !c.was.Has(field) {
		c.addf(c.at.field(field), "was added")
		return
	}
	was, _ := numberOf(c.was.Get(field))
	is, _ := numberOf(c.is.Get(field))
	if is.Cmp(was) < 0 {
		c.addf(c.at.field(field), "went from %s to %s", showValue(field, c.was.Get(field)), showValue(field, c.is.Get(field)))
	}
}
