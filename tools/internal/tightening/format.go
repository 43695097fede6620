package tightening

import (
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// wider says of a format which others take all that it takes.
var wider = map[protoreflect.Name][]protoreflect.Name{
	"ipv4":                {"ip", "address"},
	"ipv6":                {"ip", "address"},
	"ip":                  {"address"},
	"hostname":            {"address"},
	"uri":                 {"uri_ref"},
	"ipv4_prefix":         {"ip_prefix", "ipv4_with_prefixlen", "ip_with_prefixlen"},
	"ipv6_prefix":         {"ip_prefix", "ipv6_with_prefixlen", "ip_with_prefixlen"},
	"ip_prefix":           {"ip_with_prefixlen"},
	"ipv4_with_prefixlen": {"ip_with_prefixlen"},
	"ipv6_with_prefixlen": {"ip_with_prefixlen"},
}

// compareFormat compares the well-known format of a string or of bytes.
func compareFormat(c comparison) {
	was, is := formatOf(c.was), formatOf(c.is)
	switch {
	case is == nil:
	case was == nil:
		c.compareNewFormat(is)
	case was != is:
		if !slices.Contains(wider[was.Name()], is.Name()) {
			c.addf(c.at.field(is), "took the place of %s", was.Name())
		}
	case !c.was.Get(was).Equal(c.is.Get(is)):
		c.addf(c.at.field(is), "went from %s to %s", showValue(was, c.was.Get(was)), showValue(is, c.is.Get(is)))
	case is.Name() == "well_known_regex" && !isStrict(c.was) && isStrict(c.is):
		c.addf(c.blame("strict"), "is strict now")
	}
}

// compareNewFormat compares a format with what was said of the text before.
func (c comparison) compareNewFormat(is protoreflect.FieldDescriptor) {
	words, err := c.words()
	if err == nil && len(words) == 0 {
		c.addf(c.at.field(is), "was added") // None takes every text.
		return
	}
	var example string
	if none, failed := languageOf(""); err == nil && failed == nil { // Which takes all.
		none.others = true
		example, _, err = c.missing(none)
	}
	if after, failed := newProbe(c.kind, known(c.is)); err == nil && failed == nil && after.refuses(protoreflect.ValueOfString(example)) != "" {
		c.reportMissing(c.at.field(is), example)
		return
	}
	c.unknownf(c.at.field(is), "was added")
}

// formatOf returns the rule that names the format, if there is one and it is on.
func formatOf(rules protoreflect.Message) protoreflect.FieldDescriptor {
	field := rules.WhichOneof(rules.Descriptor().Oneofs().ByName("well_known"))
	if field == nil {
		return nil
	}
	switch value := rules.Get(field).Interface().(type) {
	case bool:
		if !value {
			return nil
		}
	case protoreflect.EnumNumber:
		if value == 0 {
			return nil
		}
	}
	return field
}

// isStrict reports whether a well-known pattern is applied strictly, the default.
func isStrict(rules protoreflect.Message) bool {
	field := rules.Descriptor().Fields().ByName("strict")
	return !rules.Has(field) || rules.Get(field).Bool()
}

// formatCheck claims every format that rules of the kind have.
func formatCheck(rules protoreflect.MessageDescriptor) check {
	c := check{compare: compareFormat}
	formats := rules.Oneofs().ByName("well_known").Fields()
	for i := range formats.Len() {
		c.claims = append(c.claims, formats.Get(i).Name())
	}
	if strict := rules.Fields().ByName("strict"); strict != nil {
		c.claims = append(c.claims, strict.Name())
	}
	return c
}
