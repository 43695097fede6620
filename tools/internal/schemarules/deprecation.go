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

// isDeprecated reports whether an element has the option. A oneof can't have it.
func isDeprecated(element protoreflect.Descriptor) bool {
	options, ok := element.Options().(interface{ GetDeprecated() bool })
	return ok && options.GetDeprecated()
}

// isDeprecatedWithin reports whether an element has the option, or what it is
// declared in.
func isDeprecatedWithin(element protoreflect.Descriptor) bool {
	for ; element != nil; element = element.Parent() {
		if isDeprecated(element) {
			return true
		}
	}
	return false
}

func deprecationNoDelete() *check.RuleSpec {
	return breaking("TIDINGS_DEPRECATION_NO_DELETE",
		"Checks that what is deprecated stays so.",
		onChange(func(c change) error {
			for element := range pairs[protoreflect.Descriptor](c.was.files, c.is.files) {
				if isDeprecated(element.was) && !isDeprecatedWithin(element.is) {
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

// The words by which a comment says what to use instead, and that there is nothing.
var (
	replacement = regexp.MustCompile(`(?i)\bdeprecated\b.*?\b(?:use|see|prefer|in favou?r of|(?:replaced|superseded) (?:by|with)|` +
		`(?:renamed|moved|promoted) to):? (?:the |of )?(\S+)`)
	noReplacement = regexp.MustCompile(`(?i)\bdeprecated\b.*?\b(?:no replacement|no-op|no longer used|not used|unused|has no effect|does nothing)\b`)
)

// deprecationForm shows them.
const deprecationForm = "\"Deprecated: use NAME.\" or \"Deprecated: no replacement.\""

func deprecationReplacement() *check.RuleSpec {
	return lint("TIDINGS_DEPRECATION_REPLACEMENT",
		"Checks that the comment of what is deprecated says what to use instead.",
		onState(func(s subject) error {
			known := make(map[protoreflect.FullName]protoreflect.Descriptor)
			for element := range elements(s.all) {
				known[element.FullName()] = element
			}
			for element := range elements(s.files) {
				if !isDeprecated(element) {
					continue
				}
				place, text := at(element, protoreflect.SourcePath{deprecatedNumber(element)}), comment(element)
				found := replacement.FindStringSubmatch(text)
				switch {
				case len(found) > 0 && !resolves(found[1], element, known):
					s.AddAnnotation(place, check.WithMessagef(
						"%s is deprecated in favour of %s, which doesn't exist.", describe(element), strings.TrimRight(found[1], ".,;:")))
				case len(found) == 0 && !noReplacement.MatchString(text):
					s.AddAnnotation(place, check.WithMessagef(
						"%s is deprecated, and its comment doesn't say what to use instead: %s", describe(element), deprecationForm))
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
		text = locations.ByPath(protoreflect.SourcePath{packageNumber}).LeadingComments +
			locations.ByPath(protoreflect.SourcePath{syntaxNumber}).LeadingComments
	}
	return strings.Join(strings.Fields(text), " ")
}

// The forms of a name: in quotes, or with what only a name has.
var (
	quotes   = "`\"'[]()"
	nameForm = regexp.MustCompile(`^[A-Za-z]\w*(\.\w+)*$`)
	nameOnly = regexp.MustCompile(`[._]|^[A-Z]\w*[a-z][A-Z]`)
)

// resolves reports whether a word of a comment can be what replaces an element: a
// name of something else that is declared, or a word that is no name. A name that
// begins with a small letter is seen from where the element is, and may be the path
// of a field.
func resolves(word string, element protoreflect.Descriptor, known map[protoreflect.FullName]protoreflect.Descriptor) bool {
	word = strings.TrimRight(word, ".,;:")
	name := strings.Trim(word, quotes)
	if !nameForm.MatchString(name) {
		return true
	}
	for scope := element.FullName().Parent(); ; scope = scope.Parent() {
		if found := follow(scope, strings.Split(name, "."), known); found != nil {
			return found != element
		}
		if scope == "" {
			break
		}
	}
	if name == word && !nameOnly.MatchString(name) {
		return true
	}
	if name[0] < 'A' || name[0] > 'Z' {
		return false
	}
	for full := range known {
		if strings.HasSuffix(string(full), "."+name) {
			return true
		}
	}
	return false
}

// follow returns what a path leads to from a scope, through the messages of fields.
// Nil: nowhere.
func follow(scope protoreflect.FullName, path []string, known map[protoreflect.FullName]protoreflect.Descriptor) protoreflect.Descriptor {
	var found protoreflect.Descriptor
	for i, part := range path {
		full := protoreflect.FullName(part)
		if scope != "" {
			full = scope + "." + full
		}
		found, scope = known[full], full
		if field, ok := found.(protoreflect.FieldDescriptor); ok && i+1 < len(path) {
			if field.Message() == nil {
				return nil
			}
			scope = field.Message().FullName()
		}
	}
	return found
}
