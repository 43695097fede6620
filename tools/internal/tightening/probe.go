package tightening

import (
	"errors"
	"sync"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

// standard is protovalidate itself: whether a single value is taken is asked, not
// worked out again here.
var standard = sync.OnceValues(func() (protovalidate.Validator, error) { return protovalidate.New() })

// A probe asks rules of one kind whether they take a value.
type probe struct {
	field     protoreflect.FieldDescriptor
	validator protovalidate.Validator
}

// newProbe makes a message with one field that has the rules: a string, or what the
// kind is for, which is the field of FieldRules that holds them.
func newProbe(kind protoreflect.FieldDescriptor, rules protoreflect.Message) (probe, error) {
	typed := &validate.FieldRules{}
	typed.ProtoReflect().Set(kind, protoreflect.ValueOfMessage(rules))
	options := &descriptorpb.FieldOptions{}
	proto.SetExtension(options, validate.E_Field, typed)

	field := &descriptorpb.FieldDescriptorProto{
		Name:    new("value"),
		Number:  new(int32(1)),
		Label:   descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
		Type:    descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(),
		Options: options,
	}
	dependencies := []string{validate.File_buf_validate_validate_proto.Path()}
	switch kind.Name() {
	case "bytes":
		field.Type = descriptorpb.FieldDescriptorProto_TYPE_BYTES.Enum()
	case "field_mask":
		mask := (*fieldmaskpb.FieldMask)(nil).ProtoReflect().Descriptor()
		field.Type = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum()
		field.TypeName = new("." + string(mask.FullName()))
		dependencies = append(dependencies, mask.ParentFile().Path())
	}
	message := &descriptorpb.DescriptorProto{
		Name:  new("Probe"),
		Field: []*descriptorpb.FieldDescriptorProto{field},
	}
	file := &descriptorpb.FileDescriptorProto{
		Name:        new("tightening/probe.proto"),
		Package:     new("tightening"),
		Dependency:  dependencies,
		MessageType: []*descriptorpb.DescriptorProto{message},
	}
	compiled, err := protodesc.NewFile(file, protoregistry.GlobalFiles)
	if err != nil {
		return probe{}, err
	}
	validator, err := standard()
	if err != nil {
		return probe{}, err
	}
	return probe{field: compiled.Messages().Get(0).Fields().Get(0), validator: validator}, nil
}

// refuses tells why a value is refused. An empty text means that it is taken.
func (p probe) refuses(value protoreflect.Value) string {
	message := dynamicpb.NewMessage(p.field.ContainingMessage())
	if p.field.Message() != nil {
		proto.Merge(message.Mutable(p.field).Message().Interface(), value.Message().Interface())
		return refusal(p.validator, message)
	}
	message.Set(p.field, value)
	return refusal(p.validator, message)
}

// refusal tells why a message is invalid. Rules that can't be evaluated take
// nothing.
func refusal(v protovalidate.Validator, message proto.Message) string {
	return judge(v, message).reason
}

// A verdict is what rules say of a message.
type verdict struct {
	reason string // Why it is refused. Empty: it isn't.
	// broken is set if the rules can't be evaluated, for which the reason is.
	broken bool
	// rule leads to the rule that refuses it.
	rule []*validate.FieldPathElement
}

func judge(v protovalidate.Validator, message proto.Message, options ...protovalidate.ValidationOption) verdict {
	err := v.Validate(message, options...)
	if err == nil {
		return verdict{}
	}
	invalid, ok := errors.AsType[*protovalidate.ValidationError](err)
	if !ok {
		return verdict{reason: err.Error(), broken: true}
	}
	first := invalid.Violations[0].Proto
	found := verdict{reason: first.GetMessage(), rule: first.GetRule().GetElements()}
	if found.reason == "" {
		found.reason = first.GetRuleId()
	}
	return found
}
