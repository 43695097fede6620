package schemarules

import (
	"regexp"
	"strings"

	"buf.build/go/bufplugin/check"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// deprecatedNumber is the number of the option in the options of each kind of
// element.
func deprecatedNumber(element protoreflect.Descriptor) int32 {
	switch element.(type) {
	case protoreflect.FileDescriptor:
		return 23
	case protoreflect.ServiceDescriptor, protoreflect.MethodDescriptor:
		return 33
	case protoreflect.EnumValueDescriptor:
		return 1
	default: // Messages, fields and enums.
		return 3
	}
}

// isDeprecated says whether an element has the option. A oneof can't have it.
func isDeprecated(element protoreflect.Descriptor) bool {
	options, ok := element.Options().(interface{ GetDeprecated() bool })
	return ok && options.GetDeprecated()
}

func deprecationNoDelete() *check.RuleSpec {
	return breaking("TIDINGS_DEPRECATION_NO_DELETE",
		"Checks that what is deprecated stays so.",
		onChange(func(c change) error {
			for element := range pairs[protoreflect.Descriptor](c.was.files, c.is.files) {
				if isDeprecated(element.was) && !isDeprecated(element.is) {
					c.AddAnnotation(
						check.WithMessagef("%s is deprecated no more. Those who left it for its replacement were told otherwise.",
							describe(element.is)),
						at(element.is, protoreflect.SourcePath{deprecatedNumber(element.is)}),
						check.WithAgainstDescriptor(element.was))
				}
			}
			return nil
		}))
}

// deprecation is the sentence that a comment has to hold.
var deprecation = regexp.MustCompile(`\bDeprecated: (?:use ([^\s,;]+)|no replacement)[,;.] +[Rr]emoved in (v?[0-9]+(?:\.[0-9]+)*)\b`)

// deprecationForm shows it.
const deprecationForm = "\"Deprecated: use NAME, removed in VERSION.\" or \"Deprecated: no replacement, removed in VERSION.\""

func deprecationReplacement() *check.RuleSpec {
	return lint("TIDINGS_DEPRECATION_REPLACEMENT",
		"Checks that the comment of what is deprecated names the replacement and the version that removes it.",
		onState(func(s subject) error {
			known := make(map[string]bool)
			for element := range elements(s.all) {
				known[string(element.FullName())] = true
			}
			for element := range elements(s.files) {
				if !isDeprecated(element) {
					continue
				}
				place := at(element, protoreflect.SourcePath{deprecatedNumber(element)})
				sentence := deprecation.FindStringSubmatch(comment(element))
				switch {
				case sentence == nil:
					s.AddAnnotation(place, check.WithMessagef(
						"%s is deprecated, and its comment doesn't say what to use and when it goes: %s", describe(element), deprecationForm))
				case sentence[1] != "" && !resolves(sentence[1], element, known):
					s.AddAnnotation(place, check.WithMessagef(
						"%s is deprecated in favour of %s, which doesn't exist.", describe(element), sentence[1]))
				}
			}
			return nil
		}))
}

// comment returns the comment before an element, on one line.
func comment(element protoreflect.Descriptor) string {
	locations := element.ParentFile().SourceLocations()
	text := locations.ByDescriptor(element).LeadingComments
	if _, ok := element.(protoreflect.FileDescriptor); ok {
		const packageNumber, syntaxNumber = 2, 12
		text = locations.ByPath(protoreflect.SourcePath{packageNumber}).LeadingComments +
			locations.ByPath(protoreflect.SourcePath{syntaxNumber}).LeadingComments
	}
	return strings.Join(strings.Fields(text), " ")
}

// resolves says whether a name stands for something else that is declared, seen
// from where an element is: a neighbour, or a name from further out.
func resolves(name string, element protoreflect.Descriptor, known map[string]bool) bool {
	name = strings.Trim(name, "`")
	for scope := element.FullName(); ; {
		scope = scope.Parent()
		full := name
		if scope != "" {
			full = string(scope) + "." + name
		}
		if known[full] {
			return full != string(element.FullName())
		}
		if scope == "" {
			return false
		}
	}
}
