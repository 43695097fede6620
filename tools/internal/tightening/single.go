package tightening

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// singleValues returns the values that the old rules took, where these are those of
// const or in: each is tried. Numbers are compared as sets.
func (c comparison) singleValues() ([]protoreflect.Value, bool) {
	fields := c.was.Descriptor().Fields()
	constant, in := fields.ByName("const"), fields.ByName("in")
	switch {
	case constant == nil || isNumber(c.kind):
		return nil, false
	case c.was.Has(constant):
		return []protoreflect.Value{c.was.Get(constant)}, true
	case in.Kind() == constant.Kind() && c.was.Has(in):
		return elements(c.was.Get(in).List()), true
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
	before, err := newProbe(c.kind, known(c.was))
	if err != nil {
		c.unknownf(c.at, "%v", err)
		return
	}
	after, err := newProbe(c.kind, known(c.is))
	if err != nil {
		c.unknownf(c.at, "%v", err)
		return
	}
	for _, value := range values {
		if c.nonzero && text(value) == "" || before.refuses(value) != "" {
			continue
		}
		if reason := after.refuses(value); reason != "" {
			c.addf(c.blame(c.claimed()...), "no longer takes %s: %s", showValue(nil, value), reason)
		}
	}
}

// known returns the rules that this version of protovalidate knows.
func known(rules protoreflect.Message) protoreflect.Message {
	copied := rules.New() // The rules may be those of nobody, which can't be changed.
	proto.Merge(copied.Interface(), rules.Interface())
	copied.SetUnknown(nil)
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
	before, err := newProbe(c.kind, known(c.was))
	if err != nil {
		c.unknownf(c.at.field(field), "%v", err)
		return
	}
	for i, value := range elements(c.is.Get(field).List()) {
		if (!c.nonzero || text(value) != "") && before.refuses(value) == "" {
			c.addf(c.at.field(field).index(i), "now excludes %s", showValue(nil, value))
		}
	}
}
