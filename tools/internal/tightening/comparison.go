package tightening

import (
	"fmt"
	"slices"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// A comparison is of the rules of one kind, such as those of strings, before and
// after a change.
type comparison struct {
	*report

	// kind is the field of FieldRules that holds the rules.
	kind protoreflect.FieldDescriptor
	// was and is are the rules. They are of one type.
	was, is protoreflect.Message
	// wasOf and isOf are the values that the rules are for.
	wasOf, isOf subject
	// nonzero is set if the old rules were for values other than zero alone.
	nonzero bool
	at      place
	// checks are those of the kind.
	checks []check
}

// run compares all rules of the kind.
func (c comparison) run() {
	c.compareUnclaimed()
	if values, single := c.singleValues(); single {
		c.compareSingle(values)
		return
	}
	for _, check := range c.checks {
		if check.compare != nil {
			check.compare(c)
		}
	}
}

// compareUnclaimed holds rules that no check knows to what they were: those that
// organisations add, and those of later versions of protovalidate.
func (c comparison) compareUnclaimed() {
	c.is.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		claimed := slices.ContainsFunc(c.checks, func(check check) bool {
			return !field.IsExtension() && slices.Contains(check.claims, field.Name())
		})
		same := c.was.Descriptor() == c.is.Descriptor() && c.was.Has(field) && c.was.Get(field).Equal(value)
		if !claimed && !same {
			c.unknownf(c.at.field(field), "was added or changed")
		}
		return true
	})
	compareUnknown(c.report, c.at, c.was, c.is)
}

// compareUnknown does the same for rules that only their numbers are known of.
func compareUnknown(r *report, at place, was, is protoreflect.Message) {
	old := unknown(was)
	if _, ofField := is.Interface().(*validate.FieldRules); ofField { // See withFormerIgnore.
		old[formerSkipped], old[formerIgnoreEmpty] = "", ""
	}
	for number, value := range unknown(is) {
		if known, ok := old[number]; !ok || known != "" && known != value {
			r.unknownf(at, "has a rule with the number %d added or changed, which this version of protovalidate doesn't know", number)
		}
	}
}

// unknown returns the fields that a message has and its type doesn't, encoded.
func unknown(message protoreflect.Message) map[protowire.Number]string {
	fields := make(map[protowire.Number]string)
	for data := message.GetUnknown(); len(data) > 0; {
		number, _, length := protowire.ConsumeField(data)
		if length < 0 {
			return map[protowire.Number]string{0: string(data)}
		}
		fields[number] += string(data[:length])
		data = data[length:]
	}
	return fields
}

// differ reports whether one of the rules was changed in any way.
func (c comparison) differ(names ...protoreflect.Name) bool {
	return slices.ContainsFunc(names, func(name protoreflect.Name) bool {
		was, is := c.was.Descriptor().Fields().ByName(name), c.is.Descriptor().Fields().ByName(name)
		if was == nil || is == nil {
			return was != is
		}
		return c.was.Has(was) != c.is.Has(is) || !c.was.Get(was).Equal(c.is.Get(is))
	})
}

// blame returns the place of the first of the rules that was added or changed,
// or else that of all rules of the kind.
func (c comparison) blame(names ...protoreflect.Name) place {
	for _, name := range names {
		if field := c.is.Descriptor().Fields().ByName(name); field != nil && c.is.Has(field) && c.differ(name) {
			return c.at.field(field)
		}
	}
	return c.at
}

// show writes rules down.
func (c comparison) show(rules protoreflect.Message, names ...protoreflect.Name) string {
	var parts []string
	for _, name := range names {
		if field := rules.Descriptor().Fields().ByName(name); field != nil && rules.Has(field) {
			parts = append(parts, fmt.Sprintf("%s: %s", name, showValue(field, rules.Get(field))))
		}
	}
	if len(parts) == 0 {
		return "without a bound"
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func showValue(field protoreflect.FieldDescriptor, value protoreflect.Value) string {
	switch v := value.Interface().(type) {
	case string:
		return fmt.Sprintf("%q", v)
	case []byte:
		return fmt.Sprintf("%q", v)
	case protoreflect.Message:
		fields := v.Descriptor().Fields()
		if seconds := fields.ByName("seconds"); seconds != nil {
			text := fmt.Sprintf("%ds", v.Get(seconds).Int())
			if nanos := v.Get(fields.ByName("nanos")).Int(); nanos != 0 {
				text += fmt.Sprintf(" %dns", nanos)
			}
			return text
		}
		return fmt.Sprint(v.Interface())
	case protoreflect.List:
		var parts []string
		for _, element := range elements(v) {
			parts = append(parts, showValue(field, element))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case protoreflect.EnumNumber:
		if named := field.Enum().Values().ByNumber(v); named != nil {
			return string(named.Name())
		}
	}
	return value.String()
}
