package tightening

import (
	"slices"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
)

// Fields compares the rules of fields, and of messages. It knows the rules that the
// schemas of an organisation define.
type Fields struct {
	was, is protovalidate.Validator
}

// NewFields returns a comparison of two sets of schemas, each given as all of its
// files.
func NewFields(was, is []protoreflect.FileDescriptor) (Fields, error) {
	before, err := newValidator(was)
	if err != nil {
		return Fields{}, err
	}
	after, err := newValidator(is)
	return Fields{was: before, is: after}, err
}

func newValidator(files []protoreflect.FileDescriptor) (protovalidate.Validator, error) {
	custom := &protoregistry.Types{}
	for _, file := range files {
		if err := registerRules(custom, file); err != nil {
			return nil, err
		}
	}
	return protovalidate.New(protovalidate.WithExtensionTypeResolver(custom))
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
	if v := withoutField(f.is, field); v.reason != "" {
		r.addf(optionPlace(validate.E_Field), "%s", v.reason)
	}
	return r.findings
}

// withoutField tells what rules of a field say of a message without it.
func withoutField(v protovalidate.Validator, field protoreflect.FieldDescriptor) verdict {
	only := protovalidate.FilterFunc(func(_ protoreflect.Message, d protoreflect.Descriptor) bool {
		return d.FullName() == field.FullName()
	})
	return judge(v, dynamicpb.NewMessage(field.ContainingMessage()), protovalidate.WithFilter(only))
}

// compareAbsent compares what the rules say of a message without the field: for a
// field without presence, that is one with its zero value. It reports whether the
// rules can be evaluated.
func (f Fields) compareAbsent(r *report, was, is protoreflect.FieldDescriptor, before, after side) bool {
	old, present := withoutField(f.was, was), withoutField(f.is, is)
	at := optionPlace(validate.E_Field)
	switch {
	case present.broken:
		if !old.broken {
			r.addf(at, "can't be applied, so every message is refused: %s", present.reason)
		}
		return false
	case present.reason == "" || after.takesAbsent():
	case old.reason != "" && !old.broken && !before.takesAbsent() || requiredAlone(was):
	case after.rules.GetRequired():
		r.addf(at.field(requiredRule), "was added")
	case before.takesZero() && !after.takesZero():
		r.addf(at.field(ignoreRule), "no longer lets the zero value pass: %s", present.reason)
	default:
		for _, step := range present.rule {
			at = at.step(step.GetFieldNumber(), step.GetFieldName())
			if _, ok := step.GetSubscript().(*validate.FieldPathElement_Index); ok {
				at = at.index(int(step.GetIndex()))
			}
		}
		r.addf(at, "no longer takes the zero value: %s", present.reason)
	}
	return true
}

// requiredAlone reports whether a rule of the message demands this field: one that
// demands one of several fields, of which there is one.
func requiredAlone(field protoreflect.FieldDescriptor) bool {
	rules, err := protovalidate.ResolveMessageRules(field.ContainingMessage())
	return err == nil && slices.ContainsFunc(rules.GetOneof(), func(oneof *validate.MessageOneofRule) bool {
		return oneof.GetRequired() && subset(oneof.GetFields(), []string{string(field.Name())})
	})
}
