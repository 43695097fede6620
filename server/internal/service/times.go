package service

import (
	"sync"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Protobuf's binary form has room for times and durations that its JSON has no
// form for. Rules can't speak of them, and once stored they would break every
// answer in JSON that they are part of.

// wrongTime returns the path of a Timestamp or Duration in a message of the
// contract that is out of its range, and what is wrong with it. nil: none is.
func wrongTime(message protoreflect.Message) (path []*validate.FieldPathElement, wrong string) {
	switch m := message.Interface().(type) {
	case *timestamppb.Timestamp:
		if m.CheckValid() != nil {
			return []*validate.FieldPathElement{}, "must be a time from year 1 to 9999, with 0 to 999,999,999 nanoseconds"
		}
		return nil, ""
	case *durationpb.Duration:
		if m.CheckValid() != nil {
			return []*validate.FieldPathElement{}, "must be a duration of at most 10,000 years, with less than 1,000,000,000 nanoseconds of the sign of its seconds"
		}
		return nil, ""
	}
	for _, field := range timeFieldsOf(message.Descriptor()) {
		if !message.Has(field) {
			continue
		}
		if !field.IsList() {
			if path, wrong = wrongTime(message.Get(field).Message()); path != nil {
				return append([]*validate.FieldPathElement{fieldPath(string(field.Name()))}, path...), wrong
			}
			continue
		}
		list := message.Get(field).List()
		for i := range list.Len() {
			if path, wrong = wrongTime(list.Get(i).Message()); path != nil {
				element := fieldPath(string(field.Name()))
				element.Subscript = &validate.FieldPathElement_Index{Index: uint64(i)}
				return append([]*validate.FieldPathElement{element}, path...), wrong
			}
		}
	}
	return nil, ""
}

// timeFields are the results of timeFieldsOf, []protoreflect.FieldDescriptor by
// the full name of the message.
var timeFields sync.Map

// timeFieldsOf returns the fields of a message that lead to a Timestamp or a
// Duration, but for lists whose elements are checked one by one. The contract has
// none in maps.
func timeFieldsOf(message protoreflect.MessageDescriptor) []protoreflect.FieldDescriptor {
	if known, ok := timeFields.Load(message.FullName()); ok {
		return known.([]protoreflect.FieldDescriptor) //nolint:forcetypeassert // The map holds nothing else.
	}
	var leading []protoreflect.FieldDescriptor
	for i := range message.Fields().Len() {
		field := message.Fields().Get(i)
		if !field.IsMap() && !apart(field) && leadsToTime(field.Message(), make(map[protoreflect.FullName]bool)) {
			leading = append(leading, field)
		}
	}
	timeFields.Store(message.FullName(), leading)
	return leading
}

// apart reports whether the elements of a list are checked one by one, and not
// with the message that holds it.
func apart(field protoreflect.FieldDescriptor) bool {
	rules, _ := proto.GetExtension(field.Options(), validate.E_Field).(*validate.FieldRules)
	return rules.GetRepeated().GetItems().GetIgnore() == validate.Ignore_IGNORE_ALWAYS
}

// leadsToTime reports whether a message, which may be nil, is or holds a
// Timestamp or a Duration, other than by the messages that were seen before.
func leadsToTime(message protoreflect.MessageDescriptor, seen map[protoreflect.FullName]bool) bool {
	if message == nil || seen[message.FullName()] {
		return false
	}
	switch message.FullName() {
	case timestampName, durationName:
		return true
	}
	seen[message.FullName()] = true
	for i := range message.Fields().Len() {
		if leadsToTime(message.Fields().Get(i).Message(), seen) {
			return true
		}
	}
	return false
}

var (
	timestampName = (*timestamppb.Timestamp)(nil).ProtoReflect().Descriptor().FullName()
	durationName  = (*durationpb.Duration)(nil).ProtoReflect().Descriptor().FullName()
)

// valid returns a duration that was stored before such were refused in the form
// that JSON has for it.
func valid(d *durationpb.Duration) *durationpb.Duration {
	if d == nil || d.IsValid() {
		return d
	}
	return durationpb.New(d.AsDuration())
}
