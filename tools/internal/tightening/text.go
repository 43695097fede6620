package tightening

import (
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// compareText returns a comparison of one rule about a part of a string or of
// bytes. It passes if what the old rule demands implies what the new one does.
func compareText(name protoreflect.Name, implies func(was, is string) bool) func(comparison) {
	return func(c comparison) {
		field := c.is.Descriptor().Fields().ByName(name)
		if !c.is.Has(field) {
			return
		}
		was, is := text(c.was.Get(field)), text(c.is.Get(field))
		switch {
		case !c.was.Has(field):
			if is != "" || name == "pattern" || name == "not_contains" {
				c.addf(c.at.field(field), "was added")
			}
		case !implies(was, is):
			c.addf(c.at.field(field), "went from %q to %q", was, is)
		}
	}
}

func text(value protoreflect.Value) string {
	if b, ok := value.Interface().([]byte); ok {
		return string(b)
	}
	return value.String()
}

// textCheck is a check of one rule about a part of a text.
func textCheck(name protoreflect.Name, implies func(was, is string) bool) check {
	return check{claims: []protoreflect.Name{name}, compare: compareText(name, implies)}
}

var (
	// Whether one pattern takes all that another takes isn't worked out.
	patternCheck     = textCheck("pattern", func(was, is string) bool { return was == is })
	prefixCheck      = textCheck("prefix", strings.HasPrefix)
	suffixCheck      = textCheck("suffix", strings.HasSuffix)
	containsCheck    = textCheck("contains", strings.Contains)
	notContainsCheck = textCheck("not_contains", func(was, is string) bool { return strings.Contains(is, was) })
)
