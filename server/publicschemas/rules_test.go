package publicschemas

import (
	"errors"
	"math"
	"strings"
	"testing"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
	"pgregory.net/rapid"
)

// The generator keeps to the rules that are most common, so that many messages
// are valid; protovalidate says which.

func fieldRules(field protoreflect.FieldDescriptor) *validate.FieldRules {
	rules, err := protovalidate.ResolveFieldRules(field)
	if err != nil {
		return nil
	}
	return rules
}

func oneofRules(oneof protoreflect.OneofDescriptor) *validate.OneofRules {
	rules, err := protovalidate.ResolveOneofRules(oneof)
	if err != nil {
		return nil
	}
	return rules
}

// required reports whether a field without a value breaks a rule.
func (g *generator) required(field protoreflect.FieldDescriptor) bool {
	rules := fieldRules(field)
	return rules != nil && (rules.GetRequired() || !field.HasPresence())
}

// bounds are the least and the most of something: the given, and as the rules
// say, where 0 is no bound.
func bounds(ruledLeast, ruledMost, least, most uint64) (from, to uint64) {
	from, to = max(least, ruledLeast), most
	if ruledMost > 0 {
		to = min(to, ruledMost)
	}
	return from, max(from, to)
}

// scalar makes a value of a field that holds no message, or of an element of it.
func (g *generator) scalar(field protoreflect.FieldDescriptor, rules *validate.FieldRules) protoreflect.Value {
	g.budget--
	switch field.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(g.random.IntN(2) == 0)
	case protoreflect.EnumKind:
		number := g.enum(field.Enum(), rules.GetEnum().GetDefinedOnly())
		for _, not := range rules.GetEnum().GetNotIn() {
			if int32(number) == not {
				values := field.Enum().Values()
				number = values.Get(values.Len() - 1).Number()
			}
		}
		return protoreflect.ValueOfEnum(number)
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(int32(g.integer(math.MinInt32, math.MaxInt32)))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		most := int64(math.MaxUint32)
		if rules.GetUint32() != nil && rules.GetUint32().GetLte() > 0 {
			most = int64(rules.GetUint32().GetLte())
		}
		return protoreflect.ValueOfUint32(uint32(g.integer(0, most)))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(g.integer(math.MinInt64, math.MaxInt64))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(g.random.Uint64())
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(float32(g.float()))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(g.float())
	case protoreflect.BytesKind:
		least, most := bounds(rules.GetBytes().GetMinLen(), rules.GetBytes().GetMaxLen(), rules.GetBytes().GetLen(), 12)
		value := make([]byte, g.between(least, most))
		for i := range value {
			value[i] = byte(g.random.Uint32())
		}
		return protoreflect.ValueOfBytes(value)
	default:
		return protoreflect.ValueOfString(g.ruledText(rules))
	}
}

func (g *generator) ruledText(rules *validate.FieldRules) string {
	text := rules.GetString()
	least, most := bounds(text.GetMinLen(), text.GetMaxLen(), 0, 12)
	switch {
	case text.GetUuid():
		return g.uuid()
	case text.GetTuuid():
		return strings.ReplaceAll(g.uuid(), "-", "")
	case text.GetEmail():
		return "somebody@example.org"
	case text.GetHostname():
		return "host.example.org"
	case text.GetUri():
		return "https://example.org/a?b=c"
	case len(text.GetIn()) > 0:
		return text.GetIn()[g.random.IntN(len(text.GetIn()))]
	case text.HasPattern():
		made := []rune(rapid.StringMatching(text.GetPattern()).Example(g.random.Int()))
		if text.HasMaxLen() {
			made = made[:min(uint64(len(made)), most)]
		}
		return string(made)
	default:
		return g.text(least, most)
	}
}

// broken returns which rules a message breaks, as paths and ids of rules. It asks
// protovalidate with the generated code of the type, while the server works
// without; where there is no generated code there are no rules.
func broken(t *testing.T, m *dynamicpb.Message) map[string]string {
	t.Helper()
	generated, err := protoregistry.GlobalTypes.FindMessageByName(m.Descriptor().FullName())
	if err != nil {
		return nil
	}
	encoded, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	message := generated.New().Interface()
	if err := proto.Unmarshal(encoded, message); err != nil {
		t.Fatal(err)
	}
	err = protovalidate.Validate(message)
	if err == nil {
		return nil
	}
	invalid, ok := errors.AsType[*protovalidate.ValidationError](err)
	if !ok {
		t.Fatalf("%s: %v", m.Descriptor().FullName(), err)
	}
	rules := make(map[string]string)
	for _, violation := range invalid.Violations {
		rules[protovalidate.FieldPathString(violation.Proto.GetField())] += " " + violation.Proto.GetRuleId()
	}
	return rules
}
