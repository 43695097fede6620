package tightening

import (
	"slices"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// A subject is what rules are for: a field, or what is in a list or a map.
type subject struct {
	// Nil: it is no enum.
	enum protoreflect.EnumDescriptor
	// Whether it holds a message, whose own rules count unless they are ignored.
	nested bool
}

// subjectOf returns what the rules of a field are for, and those for what is in
// a list or for the values of a map.
func subjectOf(field protoreflect.FieldDescriptor) subject {
	if field.IsMap() {
		return subjectOf(field.MapValue())
	}
	return subject{
		enum:   field.Enum(),
		nested: field.Message() != nil && field.Message().ParentFile().Package() != "google.protobuf",
	}
}

var rulesDescriptor = (*validate.FieldRules)(nil).ProtoReflect().Descriptor()

// The rules of FieldRules that are for every kind.
var (
	requiredRule = rulesDescriptor.Fields().ByName("required")
	ignoreRule   = rulesDescriptor.Fields().ByName("ignore")
)

// Compare returns the rules of a field that refuse what they took. The path of each
// begins in the options of the field. The rules of a message that the field holds
// are those of that message.
func (f Fields) Compare(was, is protoreflect.FieldDescriptor) ([]Finding, error) {
	old, err := fieldRules(was)
	if err != nil {
		return nil, err
	}
	present, err := fieldRules(is)
	if err != nil {
		return nil, err
	}
	r := &report{}
	at := optionPlace(validate.E_Field)
	compareField(r, at, side{old, subjectOf(was)}, side{present, subjectOf(is)})
	// A field without presence is looked at even if nobody set it.
	if zeroCounts(old, present) && !present.GetRequired() || was.HasPresence() && !is.HasPresence() {
		if reason := f.refusedWhenAbsent(is); reason != "" {
			r.addf(at.field(ignoreRule), "no longer lets the zero value pass: %s", reason)
		}
	}
	return r.findings, nil
}

// fieldRules returns the rules of a field with what the rules of its message do
// to them.
func fieldRules(field protoreflect.FieldDescriptor) (*validate.FieldRules, error) {
	rules, err := protovalidate.ResolveFieldRules(field)
	if err != nil {
		return nil, err
	}
	if rules == nil {
		rules = &validate.FieldRules{}
	}
	ofMessage, err := protovalidate.ResolveMessageRules(field.ContainingMessage())
	if err != nil {
		return nil, err
	}
	inOneof := slices.ContainsFunc(ofMessage.GetOneof(), func(oneof *validate.MessageOneofRule) bool {
		return slices.Contains(oneof.GetFields(), string(field.Name()))
	})
	if inOneof && !rules.HasIgnore() {
		rules = proto.CloneOf(rules)
		rules.SetIgnore(validate.Ignore_IGNORE_IF_ZERO_VALUE)
	}
	return rules, nil
}

// zeroCounts says whether a zero value was let pass for what it is, and isn't now.
func zeroCounts(was, is *validate.FieldRules) bool {
	return was.GetIgnore() == validate.Ignore_IGNORE_IF_ZERO_VALUE && is.GetIgnore() == validate.Ignore_IGNORE_UNSPECIFIED
}

// A side is the rules of a field, or of what is in it, before or after.
type side struct {
	rules *validate.FieldRules
	of    subject
}

// kind returns the field of FieldRules that holds the rules for the type. Nil:
// there are none.
func (s side) kind() protoreflect.FieldDescriptor {
	return s.rules.ProtoReflect().WhichOneof(rulesDescriptor.Oneofs().ByName("type"))
}

// compareField compares all rules of a field, or of what is in it.
func compareField(r *report, at place, was, is side) {
	if is.rules.GetIgnore() == validate.Ignore_IGNORE_ALWAYS {
		return
	}
	if was.rules.GetIgnore() == validate.Ignore_IGNORE_ALWAYS {
		if is.of.nested {
			r.addf(at.field(ignoreRule), "no longer keeps the rules of the message away")
		}
		was.rules = &validate.FieldRules{}
	}
	if is.rules.GetRequired() && !was.rules.GetRequired() {
		r.addf(at.field(requiredRule), "was added")
	}
	compareExpressions(r, at, was.rules, is.rules)
	compareUnknown(r, at, was.rules.ProtoReflect(), is.rules.ProtoReflect())
	compareKind(r, at, was, is)
}

// compareKind compares the rules that are for the type of the field.
func compareKind(r *report, at place, was, is side) {
	kind := is.kind()
	if kind == nil {
		return
	}
	if old := was.kind(); old != nil && old != kind {
		r.addf(at.field(kind), "took the place of %s, with which it can't be compared", old.Name())
		return
	}
	c := comparison{
		report: r, at: at.field(kind), kind: kind, checks: kinds[kind.Name()],
		was: was.rules.ProtoReflect().Get(kind).Message(), is: is.rules.ProtoReflect().Get(kind).Message(),
		wasOf: was.of, isOf: is.of,
	}
	c.run()
	for _, name := range []protoreflect.Name{"items", "keys", "values"} {
		if field := c.is.Descriptor().Fields().ByName(name); field != nil && c.is.Has(field) {
			compareElements(r, c.at.field(field), was.element(c.was, field), is.element(c.is, field))
		}
	}
}

// element returns the rules for what is in a list or a map.
func (s side) element(rules protoreflect.Message, field protoreflect.FieldDescriptor) side {
	e := side{rules: &validate.FieldRules{}, of: s.of}
	if field.Name() == "keys" { // Strings, integers or bools.
		e.of = subject{}
	}
	if rules.Has(field) {
		e.rules, _ = rules.Get(field).Message().Interface().(*validate.FieldRules)
	}
	return e
}

// compareElements compares the rules for what is in a list or a map, where every
// zero value was set by somebody.
func compareElements(r *report, at place, was, is side) {
	compareField(r, at, was, is)
	if zeroCounts(was.rules, is.rules) {
		r.addf(at.field(ignoreRule), "no longer lets zero values pass")
	}
}
