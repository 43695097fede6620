package precheck

import (
	"math"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// value is what holds of a value of a field: of its own, of an element of a list, or
// of a key or a value of a map.
func (c *compiler) value(f *field, d protoreflect.FieldDescriptor, rules *validate.FieldRules, ruled bool) {
	if !ruled || rules == nil {
		rules = new(validate.FieldRules)
	}
	own := rules
	if d.IsList() && rules.GetRepeated() != nil { // Elements are no lists.
		f.doubt()
		return
	}
	kind, known := rulesOf(own)
	switch d.Kind() {
	case protoreflect.GroupKind:
		f.doubt()
		return
	case protoreflect.StringKind:
		f.form, f.text = formText, newTextRule()
		known = known && f.text.add(own)
	case protoreflect.BytesKind:
		f.form = formBytes
		var ok bool
		f.bytes, ok = bytesChecks(own)
		known = known && ok
	case protoreflect.MessageKind:
		c.messageValue(f, d, own, ruled)
		return
	default:
		f.number = numberForms[d.Kind()]
		f.form = [...]form{formVarint, formFixed64, 2: formBytes, 5: formFixed32}[f.number.wire()]
		var ok bool
		f.values, ok = numberCheck(d, own)
		known = known && ok
	}
	if !known || kind != "" && kind != d.Kind().String() || len(own.ProtoReflect().GetUnknown()) > 0 {
		f.doubt()
		return
	}
	if isElement(d) {
		f.ignoreZero(d, own)
		c.elementRules(f, d, own)
	}
}

// isElement reports whether the values of a field are in a list or a map.
func isElement(d protoreflect.FieldDescriptor) bool {
	return d.IsList() || d.ContainingMessage().IsMapEntry()
}

// ignoreZero lets a zero value pass where the rules say so.
func (f *field) ignoreZero(d protoreflect.FieldDescriptor, rules *validate.FieldRules) {
	if rules.GetIgnore() != validate.Ignore_IGNORE_IF_ZERO_VALUE {
		return
	}
	switch {
	case f.form == formText:
		f.text.orEmpty = true
	case f.form == formBytes:
		checks := f.bytes
		f.bytes = []func([]byte) bool{func(value []byte) bool {
			if len(value) == 0 {
				return true
			}
			for _, holds := range checks {
				if !holds(value) {
					return false
				}
			}
			return true
		}}
	case f.values != nil && (d.Enum() == nil || !d.Enum().IsClosed()):
		holds := f.values
		f.values = func(v uint64) bool { return v == 0 || holds(v) }
	}
}

// messageValue is what holds of a message as a value.
func (c *compiler) messageValue(f *field, d protoreflect.FieldDescriptor, rules *validate.FieldRules, ruled bool) {
	kind, known := rulesOf(rules)
	of := d.Message()
	f.form = formMessage
	switch name := of.FullName(); {
	case name == timestampName || name == durationName:
		f.form, f.time = formTime, &timeRule{timestamp: name == timestampName}
		wanted := "duration"
		if f.time.timestamp {
			wanted = "timestamp"
		}
		known = kind == "" || known && kind == wanted && f.time.add(rules)
	case isWrapper(of):
		// protovalidate panics on those with rules in lists and maps.
		f.message, known = c.wrapper(of, rules, ruled), kind == "" || known && !isElement(d)
	default:
		f.message, known = c.message(of, ruled), kind == ""
	}
	if !known || isElement(d) && celOf(rules) {
		f.doubt()
	}
}

// isWrapper reports whether a message stands for a value of its own, whose rules it
// takes.
func isWrapper(of protoreflect.MessageDescriptor) bool {
	switch of.FullName() {
	case "google.protobuf.BoolValue", "google.protobuf.BytesValue", "google.protobuf.DoubleValue", "google.protobuf.FloatValue",
		"google.protobuf.Int32Value", "google.protobuf.Int64Value", "google.protobuf.StringValue", "google.protobuf.UInt32Value",
		"google.protobuf.UInt64Value":
		return of.Fields().Len() == 1 && of.Fields().Get(0).Name() == "value"
	default:
		return false
	}
}

// wrapper is a message whose value has the rules of the field that holds it.
func (c *compiler) wrapper(of protoreflect.MessageDescriptor, rules *validate.FieldRules, ruled bool) *message {
	if kind, _ := rulesOf(rules); kind == "" && !celOf(rules) {
		return c.message(of, ruled)
	}
	m := &message{descriptor: of, doubtful: celOf(rules)}
	value := of.Fields().Get(0)
	f := field{bit: m.bit(), slot: -1, implicit: true}
	c.value(&f, value, rules, ruled)
	if !f.acceptsZero() {
		m.required.add(f.bit)
	}
	m.add(value.Number(), f)
	return m
}

// finite takes numbers that have a form in JSON as a Value.
func finite(bits uint64) bool {
	v := math.Float64frombits(bits)
	return !math.IsNaN(v) && !math.IsInf(v, 0)
}

// celOf reports whether rules have some in CEL.
func celOf(rules *validate.FieldRules) bool {
	return len(rules.GetCel()) > 0 || len(rules.GetCelExpression()) > 0
}

var ruleKinds = (&validate.FieldRules{}).ProtoReflect().Descriptor().Oneofs().ByName("type")

// rulesOf returns which kind of standard rules there are, or nothing. It is false
// where some of them aren't known: they are predefined, or of a later release.
func rulesOf(rules *validate.FieldRules) (kind string, known bool) {
	set := rules.ProtoReflect().WhichOneof(ruleKinds)
	if set == nil {
		return "", true
	}
	of := rules.ProtoReflect().Get(set).Message()
	known = len(of.GetUnknown()) == 0
	of.Range(func(rule protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		known = known && !rule.IsExtension()
		return true
	})
	return string(set.Name()), known
}

// eachRule calls visit for each rule that is set, but for examples.
func eachRule(rules interface{ ProtoReflect() protoreflect.Message }, visit func(name protoreflect.Name, value protoreflect.Value)) {
	rules.ProtoReflect().Range(func(rule protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if rule.Name() != "example" {
			visit(rule.Name(), value)
		}
		return true
	})
}

// standardOf are the standard rules, whichever kind they are of. nil: there are none.
func standardOf(rules *validate.FieldRules) protoreflect.Message {
	set := rules.ProtoReflect().WhichOneof(ruleKinds)
	if set == nil {
		return nil
	}
	return rules.ProtoReflect().Get(set).Message()
}
