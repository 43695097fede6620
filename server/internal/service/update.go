package service

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// everything is the path of an update mask that replaces all that can change.
const everything = "*"

// update changes a resource as AIP-134 says: what the mask names becomes what it
// is in wanted, and without a mask, what is set in wanted is merged. name is the
// field of the request that holds the resource, for errors. A field that can't
// change may only have the value that it has, whatever the mask says.
func update(resource, wanted proto.Message, mask *fieldmaskpb.FieldMask, name string) error {
	into, from := resource.ProtoReflect(), wanted.ProtoReflect()
	if err := keepImmutable(into, from, name); err != nil {
		return err
	}
	paths := mask.GetPaths()
	if len(paths) == 0 {
		mergeFields(into, from)
		return nil
	}
	for i, path := range paths {
		refused := func(why string) error {
			return fieldFault(tidingsv1.ErrorReason_ERROR_REASON_UPDATE_MASK_INVALID,
				fmt.Sprintf("update_mask.paths[%d]", i), fmt.Sprintf("%q %s", path, why))
		}
		if path == everything {
			if len(paths) > 1 {
				return refused("must stand alone")
			}
			replaceFields(into, from)
			return nil
		}
		if why := setPath(into, from, strings.Split(path, ".")); why != "" {
			return refused(why)
		}
	}
	return nil
}

// behavior is what a field's schema says of its use.
func behavior(field protoreflect.FieldDescriptor) optionsv1.FieldBehavior {
	options, _ := field.Options().(*descriptorpb.FieldOptions)
	result, _ := proto.GetExtension(options, optionsv1.E_FieldBehavior).(optionsv1.FieldBehavior)
	return result
}

// ours reports whether a field holds a message whose fields are settings of their
// own, rather than one value such as a duration or a filter.
func ours(field protoreflect.FieldDescriptor) bool {
	if field.Message() == nil || field.IsList() || field.IsMap() {
		return false
	}
	switch field.Message().FullName() {
	case "tidings.options.v1.TopicSettings", "tidings.options.v1.Retention", "tidings.v1.RetryPolicy":
		return true
	}
	return false
}

// keepImmutable returns FIELD_IMMUTABLE where wanted has another value for a field
// that can't change.
func keepImmutable(into, from protoreflect.Message, path string) error {
	var err error
	from.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		place := path + "." + string(field.Name())
		switch {
		case ours(field):
			err = keepImmutable(into.Get(field).Message(), value.Message(), place)
		case behavior(field) == optionsv1.FieldBehavior_FIELD_BEHAVIOR_IMMUTABLE && !value.Equal(into.Get(field)):
			err = fieldFault(tidingsv1.ErrorReason_ERROR_REASON_FIELD_IMMUTABLE, place, "can't be changed after creation")
		}
		return err == nil
	})
	return err
}

// mergeFields sets what is set in from.
func mergeFields(into, from protoreflect.Message) {
	from.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case !changeable(field):
		case ours(field):
			mergeFields(into.Mutable(field).Message(), value.Message())
		default:
			into.Set(field, value)
		}
		return true
	})
}

// replaceFields sets everything that can change to what it is in from.
func replaceFields(into, from protoreflect.Message) {
	fields := into.Descriptor().Fields()
	for i := range fields.Len() {
		if field := fields.Get(i); changeable(field) {
			setField(into, from, field)
		}
	}
}

// setPath sets the field that a path names, or says why it can't be.
func setPath(into, from protoreflect.Message, path []string) string {
	field := into.Descriptor().Fields().ByName(protoreflect.Name(path[0]))
	switch {
	case field == nil, len(path) > 1 && !ours(field):
		return "is not a field that can be named"
	case behavior(field) == optionsv1.FieldBehavior_FIELD_BEHAVIOR_OUTPUT_ONLY, field.Name() == "etag":
		return "is set by the server"
	case len(path) > 1:
		return setPath(into.Mutable(field).Message(), from.Get(field).Message(), path[1:])
	case changeable(field):
		setField(into, from, field)
	}
	return "" // Or it is immutable, and known to be the same.
}

func setField(into, from protoreflect.Message, field protoreflect.FieldDescriptor) {
	switch {
	case ours(field) && hasImmutable(field.Message()):
		replaceFields(into.Mutable(field).Message(), from.Get(field).Message())
	case from.Has(field):
		into.Set(field, from.Get(field))
	default:
		into.Clear(field)
	}
}

func hasImmutable(message protoreflect.MessageDescriptor) bool {
	fields := message.Fields()
	for i := range fields.Len() {
		if behavior(fields.Get(i)) == optionsv1.FieldBehavior_FIELD_BEHAVIOR_IMMUTABLE {
			return true
		}
	}
	return false
}

// changeable reports whether an update can change a field.
func changeable(field protoreflect.FieldDescriptor) bool {
	return behavior(field) == optionsv1.FieldBehavior_FIELD_BEHAVIOR_UNSPECIFIED && field.Name() != "etag"
}
