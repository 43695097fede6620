package convert

import (
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// encodeMessage gives the fields that are set, by GitHub's names.
func encodeMessage(m protoreflect.Message) map[string]any {
	object := make(map[string]any)
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		object[githubName(field)] = encodeField(field, value)
		return true
	})
	return object
}

func encodeField(field protoreflect.FieldDescriptor, value protoreflect.Value) any {
	if !field.IsList() {
		return encodeValue(value)
	}
	list := make([]any, value.List().Len())
	for i := range list {
		list[i] = encodeValue(value.List().Get(i))
	}
	return list
}

// encodeValue gives a single value as encoding/json takes it.
func encodeValue(value protoreflect.Value) any {
	message, ok := value.Interface().(protoreflect.Message)
	if !ok {
		return value.Interface()
	}
	switch v := message.Interface().(type) {
	case *timestamppb.Timestamp:
		return v.AsTime().Format(time.RFC3339Nano)
	case *structpb.Struct:
		return v.AsMap()
	case *structpb.Value:
		return v.AsInterface()
	default:
		return encodeMessage(message)
	}
}
