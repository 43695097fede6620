package tightening

import (
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
)

// Fields compares the rules of fields. It knows the rules that the schemas of an
// organisation define.
type Fields struct {
	validator protovalidate.Validator
}

// NewFields returns a comparison of fields in a set of schemas, given as all of its
// files after the change.
func NewFields(files []protoreflect.FileDescriptor) (Fields, error) {
	custom := &protoregistry.Types{}
	for _, file := range files {
		if err := registerRules(custom, file); err != nil {
			return Fields{}, err
		}
	}
	validator, err := protovalidate.New(protovalidate.WithExtensionTypeResolver(custom))
	return Fields{validator: validator}, err
}

// A scope is what extensions are declared in.
type scope interface {
	Extensions() protoreflect.ExtensionDescriptors
	Messages() protoreflect.MessageDescriptors
}

// registerRules adds the extensions that define rules.
func registerRules(types *protoregistry.Types, in scope) error {
	for i := range in.Extensions().Len() {
		extension := in.Extensions().Get(i)
		if !strings.HasPrefix(string(extension.ContainingMessage().FullName()), "buf.validate.") {
			continue
		}
		if err := types.RegisterExtension(dynamicpb.NewExtensionType(extension)); err != nil {
			return err
		}
	}
	for i := range in.Messages().Len() {
		if err := registerRules(types, in.Messages().Get(i)); err != nil {
			return err
		}
	}
	return nil
}

// Added returns what makes a message without a field invalid, where the field is
// new in the message.
func (f Fields) Added(field protoreflect.FieldDescriptor) []Finding {
	r := &report{}
	if reason := f.refusedWhenAbsent(field); reason != "" {
		r.addf(optionPlace(validate.E_Field), "%s", reason)
	}
	return r.findings
}

// refusedWhenAbsent tells why a message without a field is refused because of
// that field. An empty text means that it isn't.
func (f Fields) refusedWhenAbsent(field protoreflect.FieldDescriptor) string {
	only := protovalidate.FilterFunc(func(_ protoreflect.Message, d protoreflect.Descriptor) bool {
		return d.FullName() == field.FullName()
	})
	return refusal(f.validator, dynamicpb.NewMessage(field.ContainingMessage()), protovalidate.WithFilter(only))
}
