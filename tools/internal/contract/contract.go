// Package contract reads the options of tidings.v1 from descriptors. It takes
// what the options are from the schemas themselves, since the tools have no
// generated code of the contract.
package contract

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
)

// The names of the options.
const (
	eventName    = "tidings.options.v1.event"
	errorName    = "tidings.v1.error"
	behaviorName = "tidings.options.v1.field_behavior"
)

// Options reads the options. The zero value reads none.
type Options struct {
	// Nil: no schema could have used the option, because none imports it.
	event, topic, reason, behavior protoreflect.ExtensionType
}

// An Event is what a message says of itself as an event.
type Event struct {
	// Topic is the topic that events go to. Empty: it isn't said.
	Topic string
	// Key is the path of the field that orders events. Empty: none does.
	Key string
}

// New finds the options among the files of a set of schemas.
func New(files []protoreflect.FileDescriptor) Options {
	var o Options
	for _, file := range files {
		for i := range file.Extensions().Len() {
			switch extension := file.Extensions().Get(i); extension.FullName() {
			case eventName:
				o.event = dynamicpb.NewExtensionType(extension)
			case topicName:
				o.topic = dynamicpb.NewExtensionType(extension)
			case errorName:
				o.reason = dynamicpb.NewExtensionType(extension)
			case behaviorName:
				o.behavior = dynamicpb.NewExtensionType(extension)
			}
		}
	}
	return o
}

// Path leads, in the options of a message, to a field of the event option. It is
// empty if the schemas don't know the option.
func (o Options) Path(field protoreflect.Name) protoreflect.SourcePath {
	if o.event == nil {
		return nil
	}
	extension := o.event.TypeDescriptor()
	path := protoreflect.SourcePath{int32(extension.Number())}
	if found := extension.Message().Fields().ByName(field); found != nil {
		path = append(path, int32(found.Number()))
	}
	return path
}

// Event returns what a message says of itself as an event. It returns nil if it
// doesn't say that it is one.
func (o Options) Event(message protoreflect.MessageDescriptor) (*Event, error) {
	value, err := read(message, o.event)
	if value == nil || err != nil {
		return nil, err
	}
	fields := value.Descriptor().Fields()
	topic, key := fields.ByName("topic"), fields.ByName("key")
	if topic == nil || key == nil {
		return nil, fmt.Errorf("the option %s has no field topic or no field key", eventName)
	}
	return &Event{Topic: value.Get(topic).String(), Key: value.Get(key).String()}, nil
}

// Reason returns which fields the option of an error reason leaves unsaid. It
// returns false if there is no option.
func (o Options) Reason(value protoreflect.EnumValueDescriptor) (unsaid []protoreflect.Name, ok bool, err error) {
	option, err := read(value, o.reason)
	if option == nil || err != nil {
		return nil, false, err
	}
	fields := option.Descriptor().Fields()
	for i := range fields.Len() {
		// What is said by leaving it out is a bool.
		if field := fields.Get(i); field.Kind() != protoreflect.BoolKind && !option.Has(field) {
			unsaid = append(unsaid, field.Name())
		}
	}
	return unsaid, true, nil
}

// Says returns the name of what a field of the option of an error reason says, such as
// STATUS_CODE_UNAVAILABLE of the field code.
func (o Options) Says(value protoreflect.EnumValueDescriptor, field protoreflect.Name) (string, error) {
	option, err := read(value, o.reason)
	if err != nil {
		return "", err
	}
	if option == nil {
		return "", fmt.Errorf("%s has no option %s", value.FullName(), errorName)
	}
	found := option.Descriptor().Fields().ByName(field)
	if found == nil || found.Enum() == nil {
		return "", fmt.Errorf("the option %s has no enum field %s", errorName, field)
	}
	said := found.Enum().Values().ByNumber(option.Get(found).Enum())
	if said == nil || said.Number() == 0 {
		return "", fmt.Errorf("%s says no %s", value.FullName(), field)
	}
	return string(said.Name()), nil
}

// The behaviors of fields that the options name.
const (
	OutputOnly = "OUTPUT_ONLY"
	Immutable  = "IMMUTABLE"

	behaviorPrefix = "FIELD_BEHAVIOR_"
)

// Behavior returns how a field may be used, as OutputOnly or Immutable. Empty: as
// any.
func (o Options) Behavior(field protoreflect.FieldDescriptor) (string, error) {
	if o.behavior == nil {
		return "", nil
	}
	options, err := decode(field, o.behavior)
	if err != nil {
		return "", err
	}
	option := o.behavior.TypeDescriptor()
	number := options.Get(option).Enum()
	value := option.Enum().Values().ByNumber(number)
	if number == 0 || value == nil {
		return "", nil
	}
	return strings.TrimPrefix(string(value.Name()), behaviorPrefix), nil
}

// read decodes an option of an element. It returns nil if there is none.
func read(element protoreflect.Descriptor, option protoreflect.ExtensionType) (protoreflect.Message, error) {
	if option == nil {
		return nil, nil //nolint:nilnil // No option is no error.
	}
	field := option.TypeDescriptor()
	if field.Message() == nil {
		return nil, fmt.Errorf("the option %s is not a message", field.FullName())
	}
	options, err := decode(element, option)
	if err != nil {
		return nil, err
	}
	if !options.Has(field) {
		return nil, nil //nolint:nilnil // No option is no error.
	}
	return options.Get(field).Message(), nil
}

// decode returns the options of an element in a form that has an option.
func decode(element protoreflect.Descriptor, option protoreflect.ExtensionType) (protoreflect.Message, error) {
	types := &protoregistry.Types{}
	if err := types.RegisterExtension(option); err != nil {
		return nil, err
	}
	encoded, err := proto.Marshal(element.Options())
	if err != nil {
		return nil, err
	}
	// The option extends what the schemas hold of descriptor.proto, not what this
	// program was compiled with.
	options := dynamicpb.NewMessage(option.TypeDescriptor().ContainingMessage())
	if err := (proto.UnmarshalOptions{Resolver: types}).Unmarshal(encoded, options); err != nil {
		return nil, err
	}
	return options, nil
}
