package precheck

import (
	"math"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"cel.dev/cel-go/cel"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// compiler makes the messages of a program.
type compiler struct {
	rules *cel.Env
	made  map[madeOf]*message
	// later is done when all messages are there: they may hold each other.
	later  []func()
	looped bool // Some rule is in CEL.
}

// madeOf is what a message is made of. Where its rules don't count, another one is
// made of the same type.
type madeOf struct {
	descriptor protoreflect.MessageDescriptor
	ruled      bool
}

// The names of the messages that have a form of their own in JSON.
const (
	anyName       = "google.protobuf.Any"
	durationName  = "google.protobuf.Duration"
	fieldMaskName = "google.protobuf.FieldMask"
	timestampName = "google.protobuf.Timestamp"
	valueName     = "google.protobuf.Value"
)

// program makes the messages that a message may hold.
func (c *compiler) program(of protoreflect.MessageDescriptor) *message {
	m := c.message(of, true)
	for len(c.later) > 0 {
		next := c.later[0]
		c.later = c.later[1:]
		next()
	}
	return m
}

func (c *compiler) message(of protoreflect.MessageDescriptor, ruled bool) *message {
	if m, ok := c.made[madeOf{of, ruled}]; ok {
		return m
	}
	m := &message{descriptor: of, entry: of.IsMapEntry()}
	c.made[madeOf{of, ruled}] = m
	if of.FullName() == anyName { // What one holds is in doubt.
		return m
	}
	m.doubtful = of.Fields().Len() > math.MaxUint16 || sharesNames(of.Fields())
	rules := new(validate.MessageRules)
	if ruled {
		if resolved, err := protovalidate.ResolveMessageRules(of); err != nil {
			m.doubtful = true
		} else if resolved != nil {
			rules = resolved
		}
	}
	m.doubtful = m.doubtful || len(rules.ProtoReflect().GetUnknown()) > 0
	oneofs := c.oneofs(m, ruled)
	for i := range of.Fields().Len() {
		c.declared(m, of.Fields().Get(i), rules, ruled, oneofs)
	}
	for _, rule := range rules.GetOneof() {
		m.choose(rule)
	}
	if len(rules.GetCel()) > 0 || len(rules.GetCelExpression()) > 0 {
		c.later = append(c.later, func() { c.messageRules(m, rules) })
	}
	return m
}

// sharesNames reports whether two fields have one name in JSON, or one has that of
// the type in an Any.
func sharesNames(fields protoreflect.FieldDescriptors) bool {
	names := map[string]bool{"@type": true}
	for i := range fields.Len() {
		name := fields.Get(i).JSONName()
		if names[name] {
			return true
		}
		names[name] = true
	}
	return false
}

// oneofs gives each oneof of a message a bit.
func (c *compiler) oneofs(m *message, ruled bool) map[protoreflect.FullName]uint8 {
	made := make(map[protoreflect.FullName]uint8)
	oneofs := m.descriptor.Oneofs()
	for i := range oneofs.Len() {
		oneof := oneofs.Get(i)
		rules, err := protovalidate.ResolveOneofRules(oneof)
		m.doubtful = m.doubtful || err != nil || oneof.IsSynthetic() && rules != nil
		if oneof.IsSynthetic() {
			continue
		}
		bit := m.bit()
		made[oneof.FullName()] = bit
		if ruled && rules.GetRequired() || m.descriptor.FullName() == valueName {
			m.required.add(bit)
		}
	}
	return made
}

// choose adds a rule that of some fields only one may be there.
func (m *message) choose(rule *validate.MessageOneofRule) {
	made := choice{required: rule.GetRequired()}
	for _, name := range rule.GetFields() {
		field := m.descriptor.Fields().ByName(protoreflect.Name(name))
		if field == nil {
			m.doubtful = true
			return
		}
		found := m.find(uint32(field.Number()))
		if found == nil {
			return // The message is in doubt.
		}
		made.fields.add(found.bit)
	}
	m.oneofs = append(m.oneofs, made)
}

// declared adds a field of a message.
func (c *compiler) declared(m *message, d protoreflect.FieldDescriptor, of *validate.MessageRules, ruled bool, oneofs map[protoreflect.FullName]uint8) {
	rules := new(validate.FieldRules)
	if ruled {
		resolved, err := protovalidate.ResolveFieldRules(d)
		switch {
		case err != nil || len(resolved.ProtoReflect().GetUnknown()) > 0:
			m.doubtful = true
			return
		case resolved != nil:
			rules = resolved
		}
	}
	ignore := rules.GetIgnore()
	if !rules.HasIgnore() && inOneof(of, d) {
		ignore = validate.Ignore_IGNORE_IF_ZERO_VALUE
	}
	if ignore == validate.Ignore_IGNORE_ALWAYS {
		rules, ruled = new(validate.FieldRules), false
	}
	f := field{bit: m.bit(), slot: -1, list: d.IsList() || d.IsMap()}
	if oneof := d.ContainingOneof(); oneof != nil {
		f.oneof = oneofs[oneof.FullName()] // None of a synthetic one.
	}
	f.implicit = !d.HasPresence() && !f.list
	var mayBeEmpty bool
	switch {
	case d.IsMap():
		c.mapField(m, &f, d, rules, ruled)
		mayBeEmpty = f.form != formNone && rules.GetMap().GetMinPairs() == 0
	case d.IsList():
		c.listField(m, &f, d, rules, ruled)
		mayBeEmpty = f.form != formNone && rules.GetRepeated().GetMinItems() == 0
	default:
		c.value(&f, d, rules, ruled)
		mayBeEmpty = f.acceptsZero()
	}
	if rules.GetRequired() || d.Cardinality() == protoreflect.Required ||
		!mayBeEmpty && !d.HasPresence() && ignore != validate.Ignore_IGNORE_IF_ZERO_VALUE {
		m.required.add(f.bit)
	}
	f.readable(d)
	m.add(d.Number(), f)
	if celOf(rules) {
		mayBeAbsent := d.HasPresence() || ignore == validate.Ignore_IGNORE_IF_ZERO_VALUE
		c.later = append(c.later, func() { c.fieldRules(m, d, rules, mayBeAbsent) })
	}
}

// readable adds that the value of a field has a form in JSON.
func (f *field) readable(d protoreflect.FieldDescriptor) {
	switch of := d.ContainingMessage().FullName(); {
	case of == valueName && d.Kind() == protoreflect.DoubleKind:
		f.values = finite
	case of == fieldMaskName && f.form == formText:
		f.text.checks = append(f.text.checks, func(path []byte, _ bool) bool { return isMaskPath(path) })
	}
}

func inOneof(of *validate.MessageRules, d protoreflect.FieldDescriptor) bool {
	for _, rule := range of.GetOneof() {
		for _, name := range rule.GetFields() {
			if name == string(d.Name()) {
				return true
			}
		}
	}
	return false
}

// doubt makes every value of a field one that isn't trusted.
func (f *field) doubt() { f.form = formNone }

// acceptsZero reports whether the rules of a field take its zero value.
func (f *field) acceptsZero() bool {
	switch f.form {
	case formNone:
		return false
	case formText:
		return f.text.holds(nil)
	case formBytes:
		for _, holds := range f.bytes {
			if !holds(nil) {
				return false
			}
		}
		return true
	case formMessage, formTime: // They have presence.
		return true
	default:
		return f.values == nil || f.values(0)
	}
}

// listField is what holds of a list, besides of each of its elements.
func (c *compiler) listField(m *message, f *field, d protoreflect.FieldDescriptor, of *validate.FieldRules, ruled bool) {
	rules := of.GetRepeated()
	items := rules.GetItems()
	c.value(f, d, items, ruled && items.GetIgnore() != validate.Ignore_IGNORE_ALWAYS)
	counts := listRule{max: math.MaxUint64, of: f.form, isDouble: f.number == doubleForm || f.number == floatForm}
	kind, known := rulesOf(of)
	if kind != "" && (kind != "repeated" || !known) {
		f.doubt()
		return
	}
	eachRule(rules, func(name protoreflect.Name, value protoreflect.Value) {
		switch name {
		case "min_items":
			counts.min = value.Uint()
		case "max_items":
			counts.max = value.Uint()
		case "unique":
			counts.unique = value.Bool()
		case "items":
		default:
			f.doubt()
		}
	})
	if counts.unique && d.Message() != nil {
		f.doubt()
	}
	c.count(m, f, counts)
}

// count adds a rule about the number of elements, where there is one.
func (c *compiler) count(m *message, f *field, counts listRule) {
	if counts.min > 1 || counts.max < math.MaxUint64 || counts.unique {
		counts.slot = m.capture(f)
		f.keep = f.keep || counts.unique
		m.lists = append(m.lists, counts)
	}
}

// mapField is what holds of a map, besides of each of its entries.
func (c *compiler) mapField(m *message, f *field, d protoreflect.FieldDescriptor, of *validate.FieldRules, ruled bool) {
	rules := of.GetMap()
	f.form = formMessage
	f.message = &message{descriptor: d.Message(), entry: true}
	for i, part := range []protoreflect.FieldDescriptor{d.MapKey(), d.MapValue()} {
		each := []*validate.FieldRules{rules.GetKeys(), rules.GetValues()}[i]
		inner := field{bit: f.message.bit(), slot: -1}
		c.value(&inner, part, each, ruled && each.GetIgnore() != validate.Ignore_IGNORE_ALWAYS)
		f.message.required.add(inner.bit)
		f.message.add(part.Number(), inner)
	}
	kind, known := rulesOf(of)
	if kind != "" && (kind != "map" || !known) {
		f.doubt()
		return
	}
	counts := listRule{max: math.MaxUint64, isMap: true}
	eachRule(rules, func(name protoreflect.Name, value protoreflect.Value) {
		switch name {
		case "min_pairs":
			counts.min = value.Uint()
		case "max_pairs":
			counts.max = value.Uint()
		case "keys", "values":
		default:
			f.doubt()
		}
	})
	if counts.min > 1 { // Two entries with one key are one.
		key := &f.message.fields[0]
		counts.unique, counts.of, counts.keys = true, key.form, f.message.capture(key)
	}
	c.count(m, f, counts)
}
