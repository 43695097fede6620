package schema

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// boundary is one rule of protovalidate, on a field of a message of its own.
type boundary struct {
	kind, rule protoreflect.Name
	message    string
	payloads   [][]byte
}

// inDoubt are the rules of which the pass trusts nothing, and partly those of which it
// knows some of what is valid.
var (
	inDoubt = []protoreflect.Name{
		"string.ip_with_prefixlen", "string.ipv4_with_prefixlen", "string.ipv6_with_prefixlen", "string.ip_prefix", "string.ipv4_prefix",
		"string.ipv6_prefix", "string.protobuf_fqn", "string.protobuf_dot_fqn", "any.in", "any.not_in", "field_mask.const", "field_mask.in",
		"field_mask.not_in",
	}
	partly = []protoreflect.Name{
		"string.ip", "string.ipv6", "string.hostname", "string.address", "string.uri", "string.uri_ref", "string.host_and_port",
		"repeated.unique", "double.not_in", "float.not_in",
	}
)

// Every rule of protovalidate, by itself, on values on both sides of its bounds: the
// pass trusts what is valid and nothing else, but for what is named above.
func TestEveryRuleAtItsBounds(t *testing.T) {
	file := &descriptorpb.FileDescriptorProto{
		Name: new("bounds.proto"), Package: new("bounds"), Syntax: new("proto3"),
		Dependency: []string{
			"buf/validate/validate.proto", "google/protobuf/any.proto", "google/protobuf/duration.proto", "google/protobuf/field_mask.proto",
			"google/protobuf/timestamp.proto",
		},
		EnumType: []*descriptorpb.EnumDescriptorProto{{Name: new("Kind"), Value: []*descriptorpb.EnumValueDescriptorProto{
			{Name: new("NONE"), Number: new(int32(0))}, {Name: new("ONE"), Number: new(int32(1))}, {Name: new("TWO"), Number: new(int32(2))},
		}}},
	}
	var all []boundary
	kinds := new(validate.FieldRules).ProtoReflect().Descriptor().Oneofs().ByName("type").Fields()
	for i := range kinds.Len() {
		rules := kinds.Get(i).Message().Fields()
		for n := range rules.Len() {
			if b, ok := addBoundary(file, kinds.Get(i), rules.Get(n)); ok {
				all = append(all, b)
			}
		}
	}
	set, err := Parse(image(t, file))
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 150 {
		t.Errorf("only %d rules were found", len(all))
	}
	for _, b := range all {
		t.Run(string(b.kind+"."+b.rule), func(t *testing.T) { b.compare(t, set) })
	}
}

func (b *boundary) compare(t *testing.T, set *Set) {
	checked, err := set.Type("bounds." + b.message)
	if err != nil {
		t.Fatal(err)
	}
	name := b.kind + "." + b.rule
	valid, trusted := 0, 0
	for _, payload := range b.payloads {
		_, err := parsedOrPanic(checked, payload)
		ok := false
		if program := checked.program(); program != nil {
			_, ok = program.Check(payload, nil)
		}
		if err == nil {
			valid++
		}
		if ok && len(payload) > 0 {
			trusted++
		}
		if ok && err != nil || !ok && err == nil && !slices.Contains(inDoubt, name) && !slices.Contains(partly, name) {
			t.Errorf("%q: trusted: %v; parsed: %v", payload, ok, err)
		}
	}
	if valid == 0 || valid == len(b.payloads) && b.rule != "strict" {
		t.Errorf("%d of %d values are valid: they aren't on both sides", valid, len(b.payloads))
	}
	if (trusted == 0) != slices.Contains(inDoubt, name) {
		t.Errorf("%d of %d values are trusted, where %d are valid", trusted, len(b.payloads), valid)
	}
}

// addBoundary adds a message with a field that has one rule. It is false for what is
// no rule of a value: an example, or the rules of elements.
func addBoundary(file *descriptorpb.FileDescriptorProto, kind, rule protoreflect.FieldDescriptor) (boundary, bool) {
	if rule.Name() == "example" || rule.Message() != nil && rule.Message().FullName() == "buf.validate.FieldRules" {
		return boundary{}, false
	}
	i := new(inventor)
	i.messages = []string{fmt.Sprintf(".bounds.%s_%s", kind.Name(), rule.Name())}
	m := &descriptorpb.DescriptorProto{Name: new(i.messages[0][len(".bounds."):])}
	field := &descriptorpb.FieldDescriptorProto{
		Name: new("v"), JsonName: new("v"), Number: new(int32(1)), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
	}
	b := boundary{kind: kind.Name(), rule: rule.Name(), message: m.GetName()}
	rules := new(validate.FieldRules)
	of := rules.ProtoReflect().Mutable(kind).Message()
	value := boundOf(kind.Name(), of, rule)
	if rule.IsList() {
		of.Mutable(rule).List().Append(value)
	} else {
		of.Set(rule, value)
	}
	field.Type, field.TypeName = typeOf(kind.Name())
	switch kind.Name() {
	case "repeated":
		field.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
	case "map":
		field.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
		field.TypeName = new(i.messages[0] + ".VEntry")
		m.NestedType = []*descriptorpb.DescriptorProto{{Name: new("VEntry"), Options: &descriptorpb.MessageOptions{MapEntry: new(true)},
			Field: []*descriptorpb.FieldDescriptorProto{
				{Name: new("key"), Number: new(int32(1)), Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum()},
				{Name: new("value"), Number: new(int32(2)), Type: descriptorpb.FieldDescriptorProto_TYPE_INT32.Enum()},
			}}}
	default:
	}
	b.payloads = boundaryPayloads(kind.Name())
	if rule.Name() == "strict" { // It says how another rule is meant.
		rules.GetString().WellKnown = &validate.StringRules_WellKnownRegex{WellKnownRegex: validate.KnownRegex_KNOWN_REGEX_HTTP_HEADER_VALUE}
		of.Set(rule, protoreflect.ValueOfBool(false))
	}
	setRules(field, rules)
	m.Field = append(m.Field, field)
	file.MessageType = append(file.MessageType, m)
	return b, true
}

func typeOf(kind protoreflect.Name) (of *descriptorpb.FieldDescriptorProto_Type, name *string) {
	known := map[protoreflect.Name]string{
		"any": ".google.protobuf.Any", "duration": ".google.protobuf.Duration", "field_mask": ".google.protobuf.FieldMask",
		"timestamp": ".google.protobuf.Timestamp", "map": "",
	}
	if name, ok := known[kind]; ok {
		return descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(), &name
	}
	switch kind {
	case "enum":
		return descriptorpb.FieldDescriptorProto_TYPE_ENUM.Enum(), new(".bounds.Kind")
	case "repeated":
		return descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(), nil
	default:
		return descriptorpb.FieldDescriptorProto_Type(descriptorpb.FieldDescriptorProto_Type_value["TYPE_"+strings.ToUpper(string(kind))]).Enum(), nil
	}
}

// boundOf is what a rule is set to.
func boundOf(kind protoreflect.Name, rules protoreflect.Message, rule protoreflect.FieldDescriptor) protoreflect.Value {
	switch rule.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.StringKind:
		switch {
		case rule.Name() == "pattern":
			return protoreflect.ValueOfString("^[a-z]{2}$")
		case kind == "any":
			return protoreflect.ValueOfString("x/google.protobuf.Empty")
		}
		return protoreflect.ValueOfString("ab")
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte("ab"))
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(1)
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(2)
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(2)
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(2)
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(2)
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(2)
	case protoreflect.MessageKind:
		m := rules.NewField(rule)
		if rule.IsList() {
			m = m.List().NewElement()
		}
		switch fields := m.Message().Descriptor().Fields(); {
		case rule.Name() == "within":
			m.Message().Set(fields.ByName("seconds"), protoreflect.ValueOfInt64(3600))
		case fields.ByName("seconds") != nil:
			m.Message().Set(fields.ByName("seconds"), protoreflect.ValueOfInt64(2))
		default:
			m.Message().Mutable(fields.ByName("paths")).List().Append(protoreflect.ValueOfString("ab"))
		}
		return m
	default:
		return protoreflect.ValueOfInt64(2)
	}
}

// boundaryPayloads are messages whose field has values around what rules are set to,
// and one without it.
func boundaryPayloads(kind protoreflect.Name) (all [][]byte) {
	all = append(all, nil)
	add := func(value []byte) {
		all = append(all, protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), value))
	}
	texts := slices.DeleteFunc(slices.Clone(someTexts), func(text string) bool { return text == "" || !utf8.ValidString(text) })
	switch kind {
	case "string", "bytes":
		for _, text := range append(texts, "\x00\x01\x02\x03", strings.Repeat("x", 16)) {
			add([]byte(text))
		}
	case "repeated", "map":
		for count := range 5 {
			for same := range 2 {
				var list []byte
				for n := range count {
					element := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), fmt.Sprint(n*(1-same)))
					if kind == "map" {
						element = protowire.AppendVarint(protowire.AppendTag(element, 2, protowire.VarintType), 1)
						element = protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), element)
						if same == 1 && n > 0 {
							continue // Entries with one key are one, which is in doubt.
						}
					}
					list = append(list, element...)
				}
				all = append(all, list)
			}
		}
	case "any":
		add(nil)
		add(protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "x/google.protobuf.Empty"))
		add(protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "x/google.protobuf.Timestamp"))
	case "field_mask":
		for _, path := range []string{"ab", "ab.c", "c", "a_b", "aB"} {
			add(protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), path))
		}
	case "duration", "timestamp":
		now := time.Now().Unix()
		for _, seconds := range append(slices.Clone(someSeconds), 3, now, now-3000, now+3000, now-4000, now+4000) {
			for _, nanos := range []int64{0, 1, -1} {
				var value []byte
				for n, v := range []int64{seconds, nanos} {
					if v != 0 {
						value = protowire.AppendVarint(protowire.AppendTag(value, protowire.Number(n+1), protowire.VarintType), uint64(v))
					}
				}
				// Longer durations than CEL has are in doubt.
				if kind == "timestamp" || seconds < 9_000_000_000 && seconds > -9_000_000_000 || seconds > maxDuration {
					add(value)
				}
			}
		}
	default:
		return append(all, numberPayloads(kind)...)
	}
	return all
}

func numberPayloads(name protoreflect.Name) (all [][]byte) {
	for kind := protoreflect.Kind(1); kind <= protoreflect.Sint64Kind; kind++ {
		if protoreflect.Name(kind.String()) != name {
			continue
		}
		wire, _ := wireType(kind)
		for _, whole := range []int64{1, 2, 3, -1, math.MaxInt32, math.MinInt32} {
			v := protoreflect.ValueOfInt64(whole)
			switch kind {
			case protoreflect.BoolKind:
				v = protoreflect.ValueOfBool(true)
			case protoreflect.EnumKind:
				v = protoreflect.ValueOfEnum(protoreflect.EnumNumber(whole))
			case protoreflect.Uint32Kind, protoreflect.Fixed32Kind, protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
				v = protoreflect.ValueOfUint64(uint64(uint32(whole)))
			case protoreflect.FloatKind, protoreflect.DoubleKind:
				v = protoreflect.ValueOfFloat64(float64(whole))
			default:
			}
			all = append(all, appendNumber(protowire.AppendTag(nil, 1, wire), kind, v))
		}
		if kind == protoreflect.FloatKind || kind == protoreflect.DoubleKind {
			for _, v := range []float64{1.5, 2.5, math.NaN(), math.Inf(1), math.Inf(-1)} {
				all = append(all, appendNumber(protowire.AppendTag(nil, 1, wire), kind, protoreflect.ValueOfFloat64(v)))
			}
		}
	}
	return all
}
