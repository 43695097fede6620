package schemarules

import (
	"fmt"
	"regexp"
	"strings"

	"buf.build/go/bufplugin/check"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// listName is the name of an RPC that lists: List, and a word of its own.
var listName = regexp.MustCompile(`^List([A-Z]|$)`)

func listPagination() *check.RuleSpec {
	return lint("TIDINGS_LIST_PAGINATION",
		"Checks that every List RPC gives its results a page at a time.",
		onState(func(s subject) error {
			for method := range of[protoreflect.MethodDescriptor](s.files) {
				if !listName.MatchString(string(method.Name())) {
					continue
				}
				if missing := missingPagination(method); len(missing) > 0 {
					s.AddAnnotation(
						check.WithMessagef("%s lists, and lacks %s.", describe(method), strings.Join(missing, ", ")),
						check.WithDescriptor(method))
				}
			}
			return nil
		}))
}

// missingPagination returns what a List RPC lacks, by the names of AIP-158.
func missingPagination(method protoreflect.MethodDescriptor) []string {
	var missing []string
	if !listName.MatchString(string(method.Input().Name())) {
		missing = append(missing, "a request whose name begins with List")
	}
	for _, want := range []struct {
		message protoreflect.MessageDescriptor
		name    protoreflect.Name
		kind    protoreflect.Kind
	}{
		{method.Input(), "page_size", protoreflect.Int32Kind},
		{method.Input(), "page_token", protoreflect.StringKind},
		{method.Output(), "next_page_token", protoreflect.StringKind},
	} {
		field := want.message.Fields().ByName(want.name)
		if field == nil || field.Kind() != want.kind || field.Cardinality() == protoreflect.Repeated {
			missing = append(missing, fmt.Sprintf("%s %s in %s", want.kind, want.name, want.message.Name()))
		}
	}
	results := method.Output().Fields()
	for i := range results.Len() {
		if results.Get(i).IsList() {
			return missing
		}
	}
	return append(missing, fmt.Sprintf("a repeated field in %s", method.Output().Name()))
}
