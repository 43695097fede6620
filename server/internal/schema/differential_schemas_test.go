package schema

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
)

// inventor makes schemas and payloads by chance. Rules and payloads draw values from
// the same few, so that payloads come to lie on the bounds of rules.
type inventor struct {
	*rand.Rand

	messages []string // Declared so far.
	declared map[string]*descriptorpb.DescriptorProto
	keys     map[string]string // CEL's type of the keys of the maps of the message, by their names.
	proto2   bool
}

func pick[T any](i *inventor, from []T) T { return from[i.IntN(len(from))] }

// one reports true once in so many times.
func (i *inventor) one(in int) bool { return i.IntN(in) == 0 }

var (
	someInts   = []int64{0, 1, 2, 3, 5, 10, 100, 127, 128, 300, -1, -2, -10, math.MaxInt32, math.MinInt32, math.MaxInt64, math.MinInt64}
	someFloats = []float64{0, 1, 1.5, 2, -1, 3.25, 100, math.Inf(1), math.Inf(-1), math.NaN(), math.Copysign(0, -1), 1e-9, math.MaxFloat32}
	someTexts  = []string{
		"", "a", "b", "ab", "abc", "abcd", "A-1", "EUR", "eur", "x1", "é", "aé", "\u65e5\u672c", "\u65e5\u672c\u8a9e", "a\x00", "a\n", "a b", "http",
		"ada@example.com", "a@b", "a@b.c", "a@-b", "@b", "a@", "a.b@c-d.e1", "example.com", "example.com.", "127.0.0.1", "256.0.0.1", "01.2.3.4", "1.2.3",
		"::1", "::", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "1::8", "fe80::1%eth0", "::ffff:1.2.3.4", "1:2:3:4:5:6::8", "12345::",
		"http://example.com", "https://example.com/a/b?c=d#e", "https://a:1/", "http://a b", "//a", "/a/b", "a:b", "x://a/%zz", "x://a/%20", "1x://a",
		"http://a:b/", "http://a/#b#c", "http://é/", "example.com:80", "127.0.0.1:65535", "a:65536", "a:01", "[::1]:80", ":80", "a:",
		"123e4567-e89b-12d3-a456-426614174000", "123e4567e89b12d3a456426614174000", "123e4567-e89b-12d3-a456-42661417400", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "81ARZ3NDEKTSV4RRFFQ69G5FAV",
		"127.0.0.1/8", "2001:db8::/32", "127.0.0.0/8", "Content-Type", ":path", "a:b", "\t", "foo_bar", "foo_bar.baz", "fooBar", "a__b", "_a", "tidings.v1.Event", ".tidings.v1.Event",
		"\xff", "a\x80", "abcdefgh\xff", "abcdefghijklmnopqrstuvwxyz", "abcdefghé",
	}
	somePatterns = []string{
		"^[a-z]+$", "^[A-Z]{3}$", "^[A-Z0-9][A-Z0-9-]{0,63}$", "a", "^a", "b$", "a|b", "^(a|ab)c?$", "^$", "", "(?i)EUR", "^.{2,3}$", "^[^a]*$",
		`^\d+$`, `\bab\b`, "(?m)^a$", "^a*?b", "é", "^[a-é]+$", "(ab)+", "^(?:a.)*$", "x{2,}", `^a\z`, "(?s)a.", `^\S+@\S+$`, "a$|^b", "^(a+)+$",
	}
	someCounts = []uint64{0, 1, 2, 3, 4, 5, 26, 36}
)

var fieldKinds = []descriptorpb.FieldDescriptorProto_Type{
	descriptorpb.FieldDescriptorProto_TYPE_DOUBLE, descriptorpb.FieldDescriptorProto_TYPE_FLOAT, descriptorpb.FieldDescriptorProto_TYPE_INT64,
	descriptorpb.FieldDescriptorProto_TYPE_UINT64, descriptorpb.FieldDescriptorProto_TYPE_INT32, descriptorpb.FieldDescriptorProto_TYPE_FIXED64,
	descriptorpb.FieldDescriptorProto_TYPE_FIXED32, descriptorpb.FieldDescriptorProto_TYPE_BOOL, descriptorpb.FieldDescriptorProto_TYPE_STRING,
	descriptorpb.FieldDescriptorProto_TYPE_BYTES, descriptorpb.FieldDescriptorProto_TYPE_UINT32, descriptorpb.FieldDescriptorProto_TYPE_ENUM,
	descriptorpb.FieldDescriptorProto_TYPE_SFIXED32, descriptorpb.FieldDescriptorProto_TYPE_SFIXED64, descriptorpb.FieldDescriptorProto_TYPE_SINT32,
	descriptorpb.FieldDescriptorProto_TYPE_SINT64, descriptorpb.FieldDescriptorProto_TYPE_STRING, descriptorpb.FieldDescriptorProto_TYPE_STRING,
	descriptorpb.FieldDescriptorProto_TYPE_MESSAGE, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE,
}

var knownMessages = []string{
	".google.protobuf.Timestamp", ".google.protobuf.Timestamp", ".google.protobuf.Duration", ".google.protobuf.Any", ".google.protobuf.FieldMask",
	".google.protobuf.Struct", ".google.protobuf.Value", ".google.protobuf.StringValue", ".google.protobuf.Int64Value", ".google.protobuf.BoolValue",
	".google.protobuf.DoubleValue", ".google.protobuf.BytesValue", ".google.protobuf.UInt32Value",
}

// file is one with some messages, of which the last may hold the others.
func (i *inventor) file() *descriptorpb.FileDescriptorProto {
	file := &descriptorpb.FileDescriptorProto{
		Name: new("invented.proto"), Package: new("invented"), Syntax: new("proto3"),
		Dependency: []string{
			"buf/validate/validate.proto", "google/protobuf/any.proto", "google/protobuf/duration.proto", "google/protobuf/field_mask.proto",
			"google/protobuf/struct.proto", "google/protobuf/timestamp.proto", "google/protobuf/wrappers.proto", "tidings/options/v1/options.proto",
		},
		EnumType: []*descriptorpb.EnumDescriptorProto{{Name: new("Kind"), Value: []*descriptorpb.EnumValueDescriptorProto{
			{Name: new("NONE"), Number: new(int32(0))}, {Name: new("ONE"), Number: new(int32(1))}, {Name: new("TWO"), Number: new(int32(2))},
			{Name: new("FIVE"), Number: new(int32(5))}, {Name: new("LESS"), Number: new(int32(-1))},
		}}},
	}
	i.messages, i.declared = nil, make(map[string]*descriptorpb.DescriptorProto)
	if i.proto2 = i.one(5); i.proto2 {
		file.Syntax = new("proto2")
	}
	for n := range 1 + i.IntN(4) {
		file.MessageType = append(file.MessageType, i.message(fmt.Sprintf("M%d", n)))
	}
	return file
}

func (i *inventor) message(name string) *descriptorpb.DescriptorProto {
	m := &descriptorpb.DescriptorProto{Name: &name}
	i.messages, i.keys = append(i.messages, ".invented."+name), make(map[string]string)
	number := int32(0)
	inOneof := 0
	for n := range 1 + i.IntN(7) {
		number += 1 + int32(i.IntN(3))
		switch {
		case i.one(8):
			number += pick(i, []int32{10, 50, 200, 2000, 60_000})
		case number >= 19_000 && number < 20_000:
			number = 20_000
		}
		field := i.field(fmt.Sprintf("f%d", n), number)
		repeated := i.one(4)
		switch {
		case i.one(8):
			i.mapOf(m, field)
			repeated = true
		case repeated:
			field.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
			if i.one(3) && field.GetType() != descriptorpb.FieldDescriptorProto_TYPE_STRING && field.GetType() != descriptorpb.FieldDescriptorProto_TYPE_BYTES &&
				field.GetType() != descriptorpb.FieldDescriptorProto_TYPE_MESSAGE {
				field.Options = &descriptorpb.FieldOptions{Packed: new(i.one(2))}
			}
		case i.one(4) || inOneof == 1: // At least two of them.
			field.OneofIndex = new(int32(0))
			inOneof++
		case i.proto2 && i.one(4):
			field.Label = descriptorpb.FieldDescriptorProto_LABEL_REQUIRED.Enum()
		}
		if !i.one(3) {
			i.rule(field, repeated)
		}
		m.Field = append(m.Field, field)
	}
	if inOneof > 0 {
		m.OneofDecl = []*descriptorpb.OneofDescriptorProto{{Name: new("either"), Options: new(descriptorpb.OneofOptions)}}
		if i.one(2) {
			proto.SetExtension(m.GetOneofDecl()[0].GetOptions(), validate.E_Oneof, &validate.OneofRules{Required: new(i.one(2))})
		}
	}
	slices.SortStableFunc(m.GetField(), func(a, b *descriptorpb.FieldDescriptorProto) int { // The members of a oneof follow each other.
		return len(fmt.Sprint(a.OneofIndex != nil)) - len(fmt.Sprint(b.OneofIndex != nil))
	})
	i.optional(m)
	i.messageRules(m)
	return m
}

// optional makes some fields of proto3 optional, which their oneofs follow those
// that are declared.
func (i *inventor) optional(m *descriptorpb.DescriptorProto) {
	for _, field := range m.GetField() {
		if !i.proto2 && field.OneofIndex == nil && field.GetLabel() == descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL &&
			field.GetType() != descriptorpb.FieldDescriptorProto_TYPE_MESSAGE && i.one(4) {
			field.Proto3Optional, field.OneofIndex = new(true), new(int32(len(m.GetOneofDecl())))
			m.OneofDecl = append(m.OneofDecl, &descriptorpb.OneofDescriptorProto{Name: new("_" + field.GetName())})
		}
	}
}

func (i *inventor) messageRules(m *descriptorpb.DescriptorProto) {
	rules := new(validate.MessageRules)
	if i.one(4) {
		rule := &validate.MessageOneofRule{Required: new(i.one(2))}
		for _, field := range m.GetField() {
			if i.one(2) {
				rule.Fields = append(rule.Fields, field.GetName())
			}
		}
		if len(rule.GetFields()) > 0 {
			rules.Oneof = append(rules.Oneof, rule)
		}
	}
	if i.one(3) {
		i.messageCEL(m, rules)
	}
	i.declared[i.messages[len(i.messages)-1]] = m
	m.Options = new(descriptorpb.MessageOptions)
	proto.SetExtension(m.GetOptions(), validate.E_Message, rules)
	for _, field := range m.GetField() {
		switch field.GetType() {
		case descriptorpb.FieldDescriptorProto_TYPE_BYTES, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE,
			descriptorpb.FieldDescriptorProto_TYPE_FLOAT, descriptorpb.FieldDescriptorProto_TYPE_DOUBLE:
			continue
		default:
		}
		if field.GetLabel() != descriptorpb.FieldDescriptorProto_LABEL_REPEATED && i.one(3) {
			proto.SetExtension(m.GetOptions(), optionsv1.E_Event, &optionsv1.EventOptions{Topic: "things", Key: field.GetName()})
		}
	}
}

func (i *inventor) field(name string, number int32) *descriptorpb.FieldDescriptorProto {
	field := &descriptorpb.FieldDescriptorProto{
		Name: &name, Number: &number, Type: pick(i, fieldKinds).Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
	}
	switch field.GetType() {
	case descriptorpb.FieldDescriptorProto_TYPE_MESSAGE:
		if field.TypeName = new(pick(i, i.messages)); i.one(2) {
			field.TypeName = new(pick(i, knownMessages))
		}
	case descriptorpb.FieldDescriptorProto_TYPE_ENUM:
		field.TypeName = new(".invented.Kind")
	default:
	}
	return field
}

// mapOf makes a field a map with its values.
func (i *inventor) mapOf(m *descriptorpb.DescriptorProto, field *descriptorpb.FieldDescriptorProto) {
	entry := fmt.Sprintf("F%sEntry", field.GetName()[1:])
	key := i.field("key", 1)
	key.Type, key.TypeName = pick(i, []descriptorpb.FieldDescriptorProto_Type{
		descriptorpb.FieldDescriptorProto_TYPE_STRING, descriptorpb.FieldDescriptorProto_TYPE_STRING, descriptorpb.FieldDescriptorProto_TYPE_INT32,
		descriptorpb.FieldDescriptorProto_TYPE_BOOL, descriptorpb.FieldDescriptorProto_TYPE_FIXED64, descriptorpb.FieldDescriptorProto_TYPE_SINT64,
	}).Enum(), nil
	i.keys[field.GetName()] = leafOf("", key).of
	value := proto.CloneOf(field)
	value.Name, value.Number = new("value"), new(int32(2))
	m.NestedType = append(m.NestedType, &descriptorpb.DescriptorProto{
		Name: &entry, Field: []*descriptorpb.FieldDescriptorProto{key, value}, Options: &descriptorpb.MessageOptions{MapEntry: new(true)},
	})
	field.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
	field.Type, field.TypeName = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(), new(i.messages[len(i.messages)-1]+"."+entry)
	if !i.one(3) {
		rules := &validate.FieldRules{}
		of := &validate.MapRules{Keys: i.rulesOf(key), Values: i.rulesOf(value)}
		i.some(of.ProtoReflect(), 2)
		rules.Type = &validate.FieldRules_Map{Map: of}
		setRules(field, rules)
	}
}

func setRules(field *descriptorpb.FieldDescriptorProto, rules *validate.FieldRules) {
	if field.GetOptions() == nil {
		field.Options = new(descriptorpb.FieldOptions)
	}
	proto.SetExtension(field.GetOptions(), validate.E_Field, rules)
}

// rule gives a field rules, unless it is a map, which has them.
func (i *inventor) rule(field *descriptorpb.FieldDescriptorProto, repeated bool) {
	if field.GetOptions() != nil && proto.HasExtension(field.GetOptions(), validate.E_Field) {
		return
	}
	if repeated && field.GetName() != "" && isEntry(field) {
		return
	}
	rules := i.rulesOf(field)
	if repeated {
		of := &validate.RepeatedRules{Items: rules}
		i.some(of.ProtoReflect(), 2)
		rules = &validate.FieldRules{Type: &validate.FieldRules_Repeated{Repeated: of}}
	}
	rules.Required = new(i.one(6))
	i.ignore(rules)
	setRules(field, rules)
}

func isEntry(field *descriptorpb.FieldDescriptorProto) bool {
	name := field.GetTypeName()
	return len(name) > 5 && name[len(name)-5:] == "Entry"
}

func (i *inventor) ignore(rules *validate.FieldRules) {
	if i.one(6) {
		rules.Ignore = pick(i, []validate.Ignore{validate.Ignore_IGNORE_ALWAYS, validate.Ignore_IGNORE_IF_ZERO_VALUE, validate.Ignore_IGNORE_IF_ZERO_VALUE}).Enum()
	}
}

// ruleNames are the members of FieldRules for messages.
var ruleNames = map[string]protoreflect.Name{
	".google.protobuf.Timestamp": "timestamp", ".google.protobuf.Duration": "duration", ".google.protobuf.Any": "any",
	".google.protobuf.FieldMask": "field_mask", ".google.protobuf.StringValue": "string", ".google.protobuf.Int64Value": "int64",
	".google.protobuf.BoolValue": "bool", ".google.protobuf.DoubleValue": "double", ".google.protobuf.BytesValue": "bytes",
	".google.protobuf.UInt32Value": "uint32",
}

// rulesOf are rules for single values of a field.
func (i *inventor) rulesOf(field *descriptorpb.FieldDescriptorProto) *validate.FieldRules {
	rules := new(validate.FieldRules)
	i.ignore(rules)
	name := protoreflect.Name(protoreflect.Kind(field.GetType()).String())
	if field.GetTypeName() != "" && field.GetType() == descriptorpb.FieldDescriptorProto_TYPE_MESSAGE {
		name = ruleNames[field.GetTypeName()]
	}
	kind := rules.ProtoReflect().Descriptor().Fields().ByName(name)
	if kind != nil && !i.one(8) {
		i.some(rules.ProtoReflect().Mutable(kind).Message(), 8)
	}
	return rules
}

// some sets some of the rules of a kind: each once in so many times.
func (i *inventor) some(rules protoreflect.Message, in int) {
	fields := rules.Descriptor().Fields()
	for range 1 + i.IntN(2) {
		i.set(rules, fields.Get(i.IntN(fields.Len())))
	}
	for n := range fields.Len() {
		if i.one(3 * in) {
			i.set(rules, fields.Get(n))
		}
	}
}

func (i *inventor) set(rules protoreflect.Message, rule protoreflect.FieldDescriptor) {
	if rule.Message() != nil && rule.Message().FullName() == "buf.validate.FieldRules" {
		return // Of elements.
	}
	if rule.IsList() {
		list := rules.Mutable(rule).List()
		for range 1 + i.IntN(5) {
			list.Append(i.ruleValue(rules, rule))
		}
		return
	}
	rules.Set(rule, i.ruleValue(rules, rule))
}

func (i *inventor) ruleValue(rules protoreflect.Message, rule protoreflect.FieldDescriptor) protoreflect.Value {
	switch rule.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(!i.one(4))
	case protoreflect.StringKind:
		if rule.Name() == "pattern" {
			return protoreflect.ValueOfString(pick(i, somePatterns))
		}
		return protoreflect.ValueOfString(string([]rune(pick(i, someTexts))))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(pick(i, someTexts)))
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(i.IntN(3)))
	case protoreflect.MessageKind:
		m := rules.NewField(rule)
		if rule.IsList() {
			m = m.List().NewElement()
		}
		fields := m.Message().Descriptor().Fields()
		if fields.ByName("seconds") != nil {
			m.Message().Set(fields.ByName("seconds"), protoreflect.ValueOfInt64(pick(i, someSeconds)))
			m.Message().Set(fields.ByName("nanos"), protoreflect.ValueOfInt32(pick(i, []int32{0, 0, 1, 5})))
		}
		return m
	case protoreflect.Uint64Kind:
		if rules.Descriptor().Name() != "UInt64Rules" {
			return protoreflect.ValueOfUint64(pick(i, someCounts))
		}
		fallthrough
	default:
		return i.number(rule.Kind())
	}
}

func (i *inventor) number(kind protoreflect.Kind) protoreflect.Value {
	whole := pick(i, someInts)
	switch kind {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(i.one(2))
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(pick(i, []int32{0, 1, 1, 2, 5, -1, 3, 70_000})))
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(float32(pick(i, someFloats)))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(pick(i, someFloats))
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(int32(whole))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(uint32(whole))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(uint64(whole))
	default:
		return protoreflect.ValueOfInt64(whole)
	}
}
