package schemarules

import (
	"fmt"
	"regexp"
	"slices"
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
		types   []string // The first is that of AIP-158.
	}{
		{method.Input(), "page_size", pageSizes},
		{method.Input(), "page_token", pageTokens},
		{method.Output(), "next_page_token", pageTokens},
	} {
		field := want.message.Fields().ByName(want.name)
		if field == nil || field.IsList() || field.IsMap() || !slices.Contains(want.types, typeOf(field)) {
			missing = append(missing, fmt.Sprintf("%s %s in %s", want.types[0], want.name, want.message.Name()))
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

// What the size of a page and the token of one may be.
var (
	pageSizes  = []string{"int32", "uint32", "int64", "uint64", "google.protobuf.Int32Value", "google.protobuf.UInt32Value"}
	pageTokens = []string{"string", "bytes"}
)

// typeOf names the type of a field as a schema does.
func typeOf(field protoreflect.FieldDescriptor) string {
	if field.Message() != nil {
		return string(field.Message().FullName())
	}
	return field.Kind().String()
}
