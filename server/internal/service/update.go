package service

import (
	"fmt"
	"strconv"
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
	if place := changedImmutable(into, from, name); place != "" {
		return immutableFault(place)
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
		switch setPath(into, from, strings.Split(path, ".")) {
		case pathUnknown:
			return refused("is not a field that can be named")
		case pathOfServer:
			return refused("is set by the server")
		case pathImmutable:
			return immutableFault(name + "." + path)
		case pathSet:
		}
	}
	return nil
}

func immutableFault(place string) error {
	return fieldFault(tidingsv1.ErrorReason_ERROR_REASON_FIELD_IMMUTABLE, place, "can't be changed after creation")
}

// behavior is what a field's schema says of its use.
func behavior(field protoreflect.FieldDescriptor) optionsv1.FieldBehavior {
	options, _ := field.Options().(*descriptorpb.FieldOptions)
	result, _ := proto.GetExtension(options, optionsv1.E_FieldBehavior).(optionsv1.FieldBehavior)
	return result
}

func immutable(field protoreflect.FieldDescriptor) bool {
	return behavior(field) == optionsv1.FieldBehavior_FIELD_BEHAVIOR_IMMUTABLE
}

// changeable reports whether an update can change a field. An etag is what the
// update is held to.
func changeable(field protoreflect.FieldDescriptor) bool {
	return behavior(field) == optionsv1.FieldBehavior_FIELD_BEHAVIOR_UNSPECIFIED && field.Name() != "etag"
}

// group reports whether a field holds a message whose fields are settings of their
// own, rather than one value such as a duration or a filter.
func group(field protoreflect.FieldDescriptor) bool {
	if field.Message() == nil || field.IsList() || field.IsMap() {
		return false
	}
	switch field.Message().FullName() {
	case "tidings.options.v1.TopicSettings", "tidings.options.v1.Retention", "tidings.v1.RetryPolicy":
		return true
	}
	return false
}

// changedImmutable returns the path of a field that can't change and that from
// sets to another value, or nothing.
func changedImmutable(into, from protoreflect.Message, path string) (place string) {
	from.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		below := path + "." + string(field.Name())
		switch {
		case group(field):
			place = changedImmutable(into.Get(field).Message(), value.Message(), below)
		case immutable(field) && !value.Equal(into.Get(field)):
			place = below
		}
		return place == ""
	})
	return place
}

// same reports whether a field that can't change, whether or not it is set in
// from, asks for the value that it has. Of an enum, 0 stands for its first value.
func same(into, from protoreflect.Message, field protoreflect.FieldDescriptor) bool {
	asked := from.Get(field)
	if field.Enum() != nil && asked.Enum() == 0 {
		asked = protoreflect.ValueOfEnum(field.Enum().Values().Get(1).Number())
	}
	return asked.Equal(into.Get(field))
}

// different returns the path of the first field in which two groups differ, or
// nothing.
func different(a, b protoreflect.Message, path string) string {
	fields := a.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		below := path + "." + string(field.Name())
		if group(field) {
			if place := different(a.Get(field).Message(), b.Get(field).Message(), below); place != "" {
				return place
			}
		} else if !a.Get(field).Equal(b.Get(field)) {
			return below
		}
	}
	return ""
}

// mergeFields sets what is set in from.
func mergeFields(into, from protoreflect.Message) {
	from.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case !changeable(field):
		case group(field):
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

// What comes of setting a path.
type pathOutcome int

const (
	pathSet pathOutcome = iota
	pathUnknown
	pathOfServer
	pathImmutable
)

// setPath sets the field that a path names.
func setPath(into, from protoreflect.Message, path []string) pathOutcome {
	field := into.Descriptor().Fields().ByName(protoreflect.Name(path[0]))
	switch {
	case field == nil, len(path) > 1 && !group(field):
		return pathUnknown
	case len(path) > 1:
		return setPath(into.Mutable(field).Message(), from.Get(field).Message(), path[1:])
	case changeable(field):
		setField(into, from, field)
		return pathSet
	case !immutable(field):
		return pathOfServer
	case same(into, from, field):
		return pathSet
	default:
		return pathImmutable
	}
}

// setField sets a field to what it is in from, also where that is nothing. Of what
// can't change below it nothing is cleared.
func setField(into, from protoreflect.Message, field protoreflect.FieldDescriptor) {
	switch {
	case group(field) && hasImmutable(field.Message()):
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
		if immutable(fields.Get(i)) {
			return true
		}
	}
	return false
}

// etagOf is the etag of a topic or a subscription at a revision of the engine.
func etagOf(revision uint64) string { return strconv.FormatUint(revision, 16) }
