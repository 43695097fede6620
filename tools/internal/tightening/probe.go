package tightening

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// standard is protovalidate itself: whether a single value is taken is asked, not
// worked out again here.
var standard = sync.OnceValues(func() (protovalidate.Validator, error) { return protovalidate.New() })

// messageTypes are the types of the fields whose rules are for a message.
var messageTypes = map[protoreflect.Name]protoreflect.MessageDescriptor{
	"duration":   (*durationpb.Duration)(nil).ProtoReflect().Descriptor(),
	"field_mask": (*fieldmaskpb.FieldMask)(nil).ProtoReflect().Descriptor(),
	"timestamp":  (*timestamppb.Timestamp)(nil).ProtoReflect().Descriptor(),
}

// A probe asks rules of one kind whether they take a value.
type probe struct {
	field     protoreflect.FieldDescriptor
	validator protovalidate.Validator
}

// newProbe makes a message with one field that has the rules. The kind is the
// field of FieldRules that holds them; values of an enum are those of enum.
func newProbe(kind protoreflect.FieldDescriptor, rules protoreflect.Message, enum protoreflect.EnumDescriptor) (probe, error) {
	typed := &validate.FieldRules{}
	typed.ProtoReflect().Set(kind, protoreflect.ValueOfMessage(rules))
	options := &descriptorpb.FieldOptions{}
	proto.SetExtension(options, validate.E_Field, typed)

	field := &descriptorpb.FieldDescriptorProto{
		Name:    new("value"),
		Number:  new(int32(1)),
		Label:   descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
		Options: options,
	}
	message := &descriptorpb.DescriptorProto{
		Name:  new("Probe"),
		Field: []*descriptorpb.FieldDescriptorProto{field},
	}
	file := &descriptorpb.FileDescriptorProto{
		Name:        new("tightening/probe.proto"),
		Package:     new("tightening"),
		Dependency:  []string{validate.File_buf_validate_validate_proto.Path()},
		MessageType: []*descriptorpb.DescriptorProto{message},
	}
	switch known := messageTypes[kind.Name()]; {
	case known != nil:
		field.Type = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum()
		field.TypeName = new("." + string(known.FullName()))
		file.Dependency = append(file.Dependency, known.ParentFile().Path())
	case enum != nil:
		copied := protodesc.ToEnumDescriptorProto(enum)
		copied.Name = new("Enum")
		message.EnumType = []*descriptorpb.EnumDescriptorProto{copied}
		field.Type = descriptorpb.FieldDescriptorProto_TYPE_ENUM.Enum()
		field.TypeName = new(".tightening.Probe.Enum")
	default:
		// The rules of a scalar have the name of its type.
		number, ok := descriptorpb.FieldDescriptorProto_Type_value["TYPE_"+strings.ToUpper(string(kind.Name()))]
		if !ok {
			return probe{}, fmt.Errorf("no scalar has the rules %s", kind.Name())
		}
		field.Type = descriptorpb.FieldDescriptorProto_Type(number).Enum()
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
	switch p.field.Kind() {
	case protoreflect.EnumKind:
		value = protoreflect.ValueOfEnum(protoreflect.EnumNumber(value.Int()))
	case protoreflect.MessageKind:
		proto.Merge(message.Mutable(p.field).Message().Interface(), value.Message().Interface())
		return refusal(p.validator, message)
	default: // The value has the type already.
	}
	message.Set(p.field, value)
	return refusal(p.validator, message)
}

// refusal tells why a message is invalid. Rules that can't be evaluated take
// nothing.
func refusal(v protovalidate.Validator, message proto.Message, options ...protovalidate.ValidationOption) string {
	err := v.Validate(message, options...)
	if err == nil {
		return ""
	}
	invalid, ok := errors.AsType[*protovalidate.ValidationError](err)
	if !ok {
		return err.Error()
	}
	first := invalid.Violations[0].Proto
	if first.GetMessage() == "" {
		return first.GetRuleId()
	}
	return first.GetMessage()
}
