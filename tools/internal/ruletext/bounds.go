package ruletext

import (
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// pair is two rules that bound the same from both sides.
type pair struct {
	low, high protoreflect.Name
	unit      string // What is counted, in the plural. Empty: the value itself.
	open      bool   // The bounds themselves are outside.
}

var bounds = []pair{
	{low: "len", high: "len", unit: "characters"},
	{low: "min_len", high: "max_len", unit: "characters"},
	{low: "len_bytes", high: "len_bytes", unit: "bytes"},
	{low: "min_bytes", high: "max_bytes", unit: "bytes"},
	{low: "min_items", high: "max_items", unit: "elements"},
	{low: "min_pairs", high: "max_pairs", unit: "entries"},
	{low: "gte", high: "lte"},
	{low: "gt", high: "lt", open: true},
}

// phrase says the bounds that rules have, or nothing if they have none.
func (p pair) phrase(rules protoreflect.Message) string {
	unit := p.unit
	if rules.Descriptor().Name() == "BytesRules" {
		unit = "bytes"
	}
	low, high := bound(rules, p.low), bound(rules, p.high)
	switch {
	case low == "" && high == "":
		return ""
	case low == high:
		return "exactly " + counted(low, unit)
	case p.open && high == "":
		return "more than " + low
	case p.open && low == "":
		return "less than " + high
	case p.open:
		return "more than " + low + " and less than " + high
	case high == "":
		return "at least " + counted(low, unit)
	case low == "":
		return "at most " + counted(high, unit)
	default:
		return low + " to " + counted(high, unit)
	}
}

// counted says how many of a unit there are.
func counted(number, unit string) string {
	switch {
	case unit == "":
		return number
	case number == "1" && unit == "entries":
		return "1 entry"
	case number == "1":
		return "1 " + strings.TrimSuffix(unit, "s")
	default:
		return number + " " + unit
	}
}

// bound is the value of a rule. Empty: there is none.
func bound(rules protoreflect.Message, name protoreflect.Name) string {
	rule := rules.Descriptor().Fields().ByName(name)
	if rule == nil || !rules.Has(rule) {
		return ""
	}
	return text(rule, rules.Get(rule))
}

// texts says the values of a rule about a field. Those of an enum have names.
func texts(rule protoreflect.FieldDescriptor, values protoreflect.List, of protoreflect.FieldDescriptor) []string {
	var all []string
	for i := range values.Len() {
		said := text(rule, values.Get(i))
		if enum := of.Enum(); enum != nil && rule.Kind() == protoreflect.Int32Kind {
			if named := enum.Values().ByNumber(protoreflect.EnumNumber(values.Get(i).Int())); named != nil {
				said = string(named.Name())
			}
		}
		all = append(all, said)
	}
	return all
}

// text says one value of a rule: numbers with commas, lengths of time in their
// largest units.
func text(rule protoreflect.FieldDescriptor, value protoreflect.Value) string {
	switch rule.Kind() {
	case protoreflect.MessageKind:
		return known(value.Message().Interface())
	case protoreflect.Int32Kind, protoreflect.Int64Kind, protoreflect.Uint32Kind, protoreflect.Uint64Kind,
		protoreflect.Sint32Kind, protoreflect.Sint64Kind, protoreflect.Fixed32Kind, protoreflect.Fixed64Kind,
		protoreflect.Sfixed32Kind, protoreflect.Sfixed64Kind:
		return grouped(value.String())
	default:
		return value.String()
	}
}

// known says a value of one of protobuf's own messages, the only ones in rules.
func known(value proto.Message) string {
	switch value := value.(type) {
	case *durationpb.Duration:
		return length(value.AsDuration())
	case *timestamppb.Timestamp:
		return value.AsTime().Format(time.RFC3339Nano)
	case *fieldmaskpb.FieldMask:
		return strings.Join(value.GetPaths(), ",")
	default:
		return string(value.ProtoReflect().Descriptor().FullName())
	}
}

// length says a length of time: `7 days`, `90 seconds`.
func length(d time.Duration) string {
	for _, unit := range []struct {
		name string
		size time.Duration
	}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}, {"second", time.Second}} {
		if d == unit.size {
			return "1 " + unit.name
		}
		if d > 0 && d%unit.size == 0 {
			return grouped(strconv.FormatInt(int64(d/unit.size), 10)) + " " + unit.name + "s"
		}
	}
	if d == 0 {
		return "0"
	}
	return d.String()
}

// grouped sets commas into a whole number.
func grouped(number string) string {
	digits := strings.TrimPrefix(number, "-")
	sign := number[:len(number)-len(digits)]
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}
