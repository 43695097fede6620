package contract

import (
	"regexp"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// errorsMark begins the part of an RPC's comment that names its errors.
const errorsMark = "Errors: "

var (
	inCapitals = regexp.MustCompile(`\b[A-Z][A-Z0-9]*(_[A-Z0-9]+)*\b`)
	thoseOf    = regexp.MustCompile(`\b[Tt]hose of ([A-Za-z]+)\b`)
)

// Reasons returns the reasons among known that the comment of an RPC names after
// "Errors:", with those of the RPCs that it refers to.
func Reasons(method protoreflect.MethodDescriptor, known []string) []string {
	_, text, _ := strings.Cut(strings.Join(Comment(method), " "), errorsMark)
	named := inCapitals.FindAllString(text, -1)
	for _, match := range thoseOf.FindAllStringSubmatch(text, -1) {
		service, _ := method.Parent().(protoreflect.ServiceDescriptor)
		if other := service.Methods().ByName(protoreflect.Name(match[1])); other != nil && other != method {
			named = append(named, Reasons(other, known)...)
		}
	}
	return slices.DeleteFunc(slices.Clone(known), func(reason string) bool { return !slices.Contains(named, reason) })
}
