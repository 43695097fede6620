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

// everyCall is the sentence in the comment of a catalogue that names the errors of
// every call.
var everyCall = regexp.MustCompile(`\bEvery call may end with ([^.]*)\.`)

// General returns the reasons among known that every call may end with, as the
// comment of a catalogue says.
func General(catalogue protoreflect.EnumDescriptor, known []string) []string {
	match := everyCall.FindStringSubmatch(strings.Join(Comment(catalogue), " "))
	if match == nil {
		return nil
	}
	return among(known, inCapitals.FindAllString(match[1], -1))
}

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
	return among(known, named)
}

// among returns those of known that are named, in the order of known.
func among(known, named []string) []string {
	return slices.DeleteFunc(slices.Clone(known), func(reason string) bool { return !slices.Contains(named, reason) })
}
