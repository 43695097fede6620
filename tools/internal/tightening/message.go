package tightening

import (
	"slices"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Message returns the rules of a message as a whole that refuse what they took.
// The path of each begins in the options of the message.
func (f Fields) Message(was, is protoreflect.MessageDescriptor) ([]Finding, error) {
	old, err := protovalidate.ResolveMessageRules(was)
	if err != nil {
		return nil, err
	}
	present, err := protovalidate.ResolveMessageRules(is)
	if err != nil || present == nil {
		return nil, err
	}
	r := &report{}
	at := optionPlace(validate.E_Message)
	compareExpressions(r, at, old, present)
	compareUnknown(r, at, old.ProtoReflect(), present.ProtoReflect())
	oneofs := present.ProtoReflect().Descriptor().Fields().ByName("oneof")
	for i, oneof := range present.GetOneof() {
		if !f.implied(oneof, old.GetOneof(), was) {
			r.addf(at.field(oneofs).index(i), "of %q was added or changed", oneof.GetFields())
		}
	}
	return r.findings, nil
}

// implied reports whether messages that kept the old rules keep a rule about which
// fields may be set together. Fields that the message didn't have aren't set.
func (f Fields) implied(oneof *validate.MessageOneofRule, old []*validate.MessageOneofRule, was protoreflect.MessageDescriptor) bool {
	var fields []string
	for _, name := range oneof.GetFields() {
		if was.Fields().ByName(protoreflect.Name(name)) != nil {
			fields = append(fields, name)
		}
	}
	atMostOne := len(fields) <= 1 || slices.ContainsFunc(old, func(o *validate.MessageOneofRule) bool {
		return subset(fields, o.GetFields())
	})
	atLeastOne := !oneof.GetRequired() || slices.ContainsFunc(old, func(o *validate.MessageOneofRule) bool {
		return o.GetRequired() && subset(o.GetFields(), fields)
	}) || slices.ContainsFunc(fields, func(name string) bool {
		old := withoutField(f.was, was.Fields().ByName(protoreflect.Name(name)))
		return old.reason != "" && !old.broken
	})
	return atMostOne && atLeastOne
}

func subset(part, whole []string) bool {
	return !slices.ContainsFunc(part, func(name string) bool { return !slices.Contains(whole, name) })
}

// Oneof returns the rules of a oneof that refuse what they took. The oneof was
// nil if the message had none of the name.
func Oneof(was, is protoreflect.OneofDescriptor) ([]Finding, error) {
	present, err := protovalidate.ResolveOneofRules(is)
	if err != nil || present == nil {
		return nil, err
	}
	var old *validate.OneofRules
	if was != nil {
		if old, err = protovalidate.ResolveOneofRules(was); err != nil {
			return nil, err
		}
	}
	r := &report{}
	at := optionPlace(validate.E_Oneof)
	if present.GetRequired() && !old.GetRequired() {
		r.addf(at.field(present.ProtoReflect().Descriptor().Fields().ByName("required")), "was added")
	}
	compareUnknown(r, at, old.ProtoReflect(), present.ProtoReflect())
	return r.findings, nil
}
