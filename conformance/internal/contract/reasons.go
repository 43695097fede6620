package contract

import (
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	tidingsv1beta1 "example.com/tidings/gen/go/tidings/v1beta1"
)

// catalogues are the enumerations of reasons, the stable one first. What a later
// one has, the earlier ones haven't.
var catalogues = []protoreflect.EnumDescriptor{
	tidingsv1.ErrorReason(0).Descriptor(),
	tidingsv1beta1.ErrorReason(0).Descriptor(),
}

// reasonPrefix is what the values of the catalogues have in common.
const reasonPrefix = "ERROR_REASON_"

// Reasons returns the names of the error reasons, without their prefix, in the
// order of the catalogues.
func Reasons() []string {
	var list []string
	for _, catalogue := range catalogues {
		values := catalogue.Values()
		for i := range values.Len() {
			if value := values.Get(i); value.Number() != 0 {
				list = append(list, strings.TrimPrefix(string(value.Name()), reasonPrefix))
			}
		}
	}
	return list
}

// CodeOf returns the status code that the catalogues give a reason.
func CodeOf(reason string) (code tidingsv1.StatusCode, ok bool) {
	for _, catalogue := range catalogues {
		value := catalogue.Values().ByName(protoreflect.Name(reasonPrefix + reason))
		if value == nil || value.Number() == 0 {
			continue
		}
		options, ok := proto.GetExtension(value.Options(), tidingsv1.E_Error).(*tidingsv1.ErrorReasonOptions)
		return options.GetCode(), ok
	}
	return 0, false
}

// ReasonOf returns the reason that a value of ErrorReason names in JSON.
func ReasonOf(value string) (reason string, ok bool) { return strings.CutPrefix(value, reasonPrefix) }
