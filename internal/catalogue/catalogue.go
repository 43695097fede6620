// Package catalogue says what the contract says of the reasons of errors, for the
// client and the command alike.
package catalogue

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	tidingsv1beta1 "example.com/tidings/gen/go/tidings/v1beta1"
)

// Prefix begins the values of the enumerations of reasons, and isn't part of a
// reason's name.
const Prefix = "ERROR_REASON_"

// Retry returns what the catalogues say of a reason. Unspecified: they don't have it.
func Retry(reason string) tidingsv1.Retry {
	for _, catalogue := range []protoreflect.EnumDescriptor{
		tidingsv1.ErrorReason(0).Descriptor(), tidingsv1beta1.ErrorReason(0).Descriptor(),
	} {
		value := catalogue.Values().ByName(protoreflect.Name(Prefix + reason))
		if value == nil {
			continue
		}
		options, _ := value.Options().(*descriptorpb.EnumValueOptions)
		said, _ := proto.GetExtension(options, tidingsv1.E_Error).(*tidingsv1.ErrorReasonOptions)
		return said.GetRetry()
	}
	return tidingsv1.Retry_RETRY_UNSPECIFIED
}
