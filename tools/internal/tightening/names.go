package tightening

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// covered reports whether a path is one that a list of paths names, or lies below it.
func covered(path, by string) bool {
	return path == by || strings.HasPrefix(path, by+".")
}

// namesCheck compares what names may occur in a value, such as the paths of a
// field mask: covers reports whether an entry of a list covers a name.
func namesCheck(covers func(name, entry string) bool) check {
	return check{claims: []protoreflect.Name{"in", "not_in"}, compare: func(c comparison) {
		c.compareAllowedNames(covers)
		c.compareExcludedNames(covers)
	}}
}

func (c comparison) compareAllowedNames(covers func(name, entry string) bool) {
	field := c.is.Descriptor().Fields().ByName("in")
	was, is := names(c.was, field), names(c.is, field)
	switch {
	case len(is) == 0:
	case len(was) == 0:
		c.addf(c.at.field(field), "was added")
	default:
		excluded := names(c.was, c.was.Descriptor().Fields().ByName("not_in"))
		for _, name := range was {
			if !anyCovers(is, name, covers) && !anyCovers(excluded, name, covers) {
				c.addf(c.at.field(field), "no longer has %q", name)
			}
		}
	}
}

func (c comparison) compareExcludedNames(covers func(name, entry string) bool) {
	field := c.is.Descriptor().Fields().ByName("not_in")
	was, is := names(c.was, field), names(c.is, field)
	allowed := names(c.was, c.was.Descriptor().Fields().ByName("in"))
	for i, name := range is {
		// What the old list of allowed names kept out is nothing new.
		outside := len(allowed) > 0 && !anyCovers(allowed, name, covers) &&
			!slices.ContainsFunc(allowed, func(entry string) bool { return covers(entry, name) })
		if !outside && !anyCovers(was, name, covers) {
			c.addf(c.at.field(field).index(i), "now excludes %q", name)
		}
	}
}

func names(rules protoreflect.Message, field protoreflect.FieldDescriptor) []string {
	var list []string
	for _, value := range elements(rules.Get(field).List()) {
		list = append(list, value.String())
	}
	return list
}

func anyCovers(entries []string, name string, covers func(name, entry string) bool) bool {
	return slices.ContainsFunc(entries, func(entry string) bool { return covers(name, entry) })
}
