package tightening

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// singleValues returns the values that the old rules took, where these are few
// enough to try each: those of const or in, the values of an enum that has to be
// defined, and both of bool.
func (c comparison) singleValues() ([]protoreflect.Value, bool) {
	fields := c.was.Descriptor().Fields()
	constant, in := fields.ByName("const"), fields.ByName("in")
	switch {
	case constant == nil: // The rules aren't about whole values.
		return nil, false
	case c.was.Has(constant):
		return []protoreflect.Value{c.was.Get(constant)}, true
	case in != nil && in.Kind() == constant.Kind() && c.was.Has(in):
		return elements(c.was.Get(in).List()), true
	case constant.Kind() == protoreflect.BoolKind:
		return []protoreflect.Value{protoreflect.ValueOfBool(false), protoreflect.ValueOfBool(true)}, true
	}
	if defined := fields.ByName("defined_only"); defined != nil && c.was.Get(defined).Bool() && c.wasOf.enum != nil {
		var values []protoreflect.Value
		for i := range c.wasOf.enum.Values().Len() {
			values = append(values, protoreflect.ValueOfInt32(int32(c.wasOf.enum.Values().Get(i).Number())))
		}
		return values, true
	}
	return nil, false
}

func elements(list protoreflect.List) []protoreflect.Value {
	values := make([]protoreflect.Value, list.Len())
	for i := range values {
		values[i] = list.Get(i)
	}
	return values
}

// compareSingle tries each value that the old rules took with the new ones.
func (c comparison) compareSingle(values []protoreflect.Value) {
	before, err := newProbe(c.kind, c.decidable(c.was), c.wasOf.enum)
	if err != nil {
		c.addf(c.at, "can't be compared: %v", err)
		return
	}
	after, err := newProbe(c.kind, c.decidable(c.is), c.isOf.enum)
	if err != nil {
		c.addf(c.at, "can't be compared: %v", err)
		return
	}
	for _, value := range values {
		if before.refuses(value) != "" {
			continue
		}
		if reason := after.refuses(value); reason != "" {
			c.addf(c.blame(c.claimed()...), "no longer takes %s: %s", c.showSingle(value), reason)
		}
	}
}

// decidable returns the rules that trying a value decides about.
func (c comparison) decidable(rules protoreflect.Message) protoreflect.Message {
	copied := rules.New() // The rules may be those of nobody, which can't be changed.
	proto.Merge(copied.Interface(), rules.Interface())
	copied.SetUnknown(nil)
	for _, check := range c.checks {
		if !check.undecidable {
			continue
		}
		for _, name := range check.claims {
			copied.Clear(copied.Descriptor().Fields().ByName(name))
		}
	}
	return copied
}

func (c comparison) claimed() []protoreflect.Name {
	var names []protoreflect.Name
	for _, check := range c.checks {
		names = append(names, check.claims...)
	}
	return names
}

// compareValues looks for values that the new rules list and the old ones, which
// took more than single values, didn't.
func compareValues(c comparison) {
	compareConst(c)
	fields := c.is.Descriptor().Fields()
	if in := fields.ByName("in"); in != nil && c.is.Has(in) {
		c.addf(c.at.field(in), "was added")
	}
	if excluded := fields.ByName("not_in"); excluded != nil && c.is.Has(excluded) {
		c.compareExcluded(excluded)
	}
}

// compareConst looks for a single value that the new rules name.
func compareConst(c comparison) {
	if constant := c.is.Descriptor().Fields().ByName("const"); c.is.Has(constant) {
		c.addf(c.at.field(constant), "was added")
	}
}

// compareExcluded looks for values that the new rules exclude and that the old
// ones took.
func (c comparison) compareExcluded(field protoreflect.FieldDescriptor) {
	before, err := newProbe(c.kind, c.decidable(c.was), c.wasOf.enum)
	if err != nil {
		c.addf(c.at.field(field), "can't be compared: %v", err)
		return
	}
	for i, value := range elements(c.is.Get(field).List()) {
		if before.refuses(value) == "" {
			c.addf(c.at.field(field).index(i), "now excludes %s", c.showSingle(value))
		}
	}
}

// showSingle writes a value of the kind down.
func (c comparison) showSingle(value protoreflect.Value) string {
	if c.isOf.enum != nil {
		if named := c.isOf.enum.Values().ByNumber(protoreflect.EnumNumber(value.Int())); named != nil {
			return string(named.Name())
		}
	}
	return showValue(nil, value)
}
