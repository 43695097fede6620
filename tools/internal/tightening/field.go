package tightening

import (
	"slices"
	"strings"

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
	before := side{rules: old, of: subjectOf(was), implicit: !was.HasPresence()}
	after := side{rules: present, of: subjectOf(is), implicit: !is.HasPresence()}
	if f.compareAbsent(r, was, is, before, after) {
		compareField(r, optionPlace(validate.E_Field), before, after)
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
	rules = withFormerIgnore(rules)
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

// The numbers that rules of protovalidate before 0.8 had for what is `ignore` now.
const (
	formerSkipped     = 24
	formerIgnoreEmpty = 26
)

// withFormerIgnore returns rules that say as present versions do what they don't
// look at. They may be nil.
func withFormerIgnore(rules *validate.FieldRules) *validate.FieldRules {
	if rules == nil {
		return &validate.FieldRules{}
	}
	former := unknown(rules.ProtoReflect())
	if rules.HasIgnore() && rules.GetIgnore() != ignoreIfDefault || len(former) == 0 && !rules.HasIgnore() {
		return rules
	}
	rules = proto.CloneOf(rules)
	switch {
	case isOn(former[formerSkipped]):
		rules.SetIgnore(validate.Ignore_IGNORE_ALWAYS)
	case isOn(former[formerIgnoreEmpty]) || rules.HasIgnore():
		rules.SetIgnore(validate.Ignore_IGNORE_IF_ZERO_VALUE)
	}
	return rules
}

// ignoreIfDefault is a value of `ignore` that later versions don't have.
const ignoreIfDefault validate.Ignore = 2

// isOn reports whether an encoded field is a bool that is on.
func isOn(field string) bool { return strings.HasSuffix(field, "\x01") }

// A side is the rules of a field, or of what is in it, before or after.
type side struct {
	rules *validate.FieldRules
	of    subject
	// Whether it is a field without presence. Then its zero value is one that isn't
	// set, which compareAbsent looks at and nothing else.
	implicit bool
}

// takesZero reports whether a zero value is let pass for what it is.
func (s side) takesZero() bool { return s.rules.GetIgnore() == validate.Ignore_IGNORE_IF_ZERO_VALUE }

// takesAbsent reports whether rules never refuse a field that isn't set, as the
// versions of protovalidate read them that they are written for.
func (s side) takesAbsent() bool {
	return s.rules.GetIgnore() == validate.Ignore_IGNORE_ALWAYS || s.takesZero() && !s.rules.GetRequired()
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
	before := was.rules.ProtoReflect().Get(kind).Message()
	if old := was.kind(); old != nil && old != kind {
		// The field has another type, of which Buf's own rules tell. Numbers are
		// numbers all the same.
		if !isNumber(old) || !isNumber(kind) {
			return
		}
		before = was.rules.ProtoReflect().Get(old).Message()
	}
	c := comparison{
		report: r, at: at.field(kind), kind: kind, checks: kinds[kind.Name()],
		was: before, is: is.rules.ProtoReflect().Get(kind).Message(),
		wasOf: was.of, isOf: is.of, nonzero: was.implicit,
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
	if is.rules.GetRequired() && !was.rules.GetRequired() && is.rules.GetIgnore() != validate.Ignore_IGNORE_ALWAYS {
		r.addf(at.field(requiredRule), "was added")
	}
	compareField(r, at, was, is)
	if was.takesZero() && is.rules.GetIgnore() == validate.Ignore_IGNORE_UNSPECIFIED {
		r.addf(at.field(ignoreRule), "no longer lets zero values pass")
	}
}
