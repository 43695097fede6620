package publicschemas

import (
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// typePrefix is what stands before a name in the URL of a type.
const typePrefix = "type.googleapis.com/"

// A generator makes messages with random contents, the same for the same seed.
type generator struct {
	t      *testing.T
	random *rand.Rand
	types  *dynamicpb.Types
	held   []protoreflect.MessageDescriptor // What an Any may hold; none: it stays empty.
	// extensions are the numbers of each message's extensions.
	extensions map[protoreflect.FullName][]protoreflect.FieldNumber
	budget     int // How many more values a message gets.
}

const (
	maxDepth  = 6
	maxValues = 120
)

func newGenerator(t *testing.T, s *schemas, seed uint64) *generator {
	return &generator{
		t:          t,
		random:     rand.New(rand.NewPCG(seed, 0)), //nolint:gosec // Repeatable, not secret.
		types:      dynamicpb.NewTypes(s.files),
		held:       s.messages,
		extensions: s.extensions,
	}
}

// message makes a message of a type.
func (g *generator) message(of protoreflect.MessageDescriptor) *dynamicpb.Message {
	g.budget = maxValues
	m := dynamicpb.NewMessage(of)
	g.fill(m, maxDepth)
	return m
}

// fill gives a message contents, nested at most so deep but for what is
// required. Each has a JSON form: for values without one the server has a
// refusal, which has tests of its own.
func (g *generator) fill(m protoreflect.Message, depth int) {
	g.budget--
	of := m.Descriptor()
	if fill, ok := wellKnown[of.FullName()]; ok {
		fill(g, m, depth)
		return
	}
	chosen := make(map[protoreflect.OneofDescriptor]protoreflect.FieldDescriptor)
	for i := range of.Oneofs().Len() {
		oneof := of.Oneofs().Get(i)
		rules := oneofRules(oneof)
		if !oneof.IsSynthetic() && (rules.GetRequired() || g.chance(depth)) {
			chosen[oneof] = oneof.Fields().Get(g.random.IntN(oneof.Fields().Len()))
		}
	}
	for i := range of.Fields().Len() {
		field := of.Fields().Get(i)
		oneof := field.ContainingOneof()
		switch {
		case oneof != nil && !oneof.IsSynthetic():
			if chosen[oneof] != field {
				continue
			}
		case field.Cardinality() != protoreflect.Required && !g.required(field) && !g.chance(depth):
			continue
		}
		g.set(m, field, depth)
	}
	for _, number := range g.extensions[of.FullName()] {
		extension, err := g.types.FindExtensionByNumber(of.FullName(), number)
		if err != nil {
			g.t.Fatal(err)
		}
		if g.chance(depth) {
			g.set(m, extension.TypeDescriptor(), depth)
		}
	}
}

// chance reports whether something optional is there.
func (g *generator) chance(depth int) bool {
	return depth > 0 && g.budget > 0 && g.random.IntN(maxDepth+1) <= depth
}

func (g *generator) set(m protoreflect.Message, field protoreflect.FieldDescriptor, depth int) {
	rules := fieldRules(field)
	switch {
	case field.IsMap():
		entries := m.Mutable(field).Map()
		for range g.size(rules, rules.GetMap().GetMinPairs(), rules.GetMap().GetMaxPairs()) {
			key := g.scalar(field.MapKey(), rules.GetMap().GetKeys()).MapKey()
			value := entries.NewValue()
			if field.MapValue().Message() != nil {
				g.fill(value.Message(), depth-1)
			} else {
				value = g.scalar(field.MapValue(), rules.GetMap().GetValues())
			}
			entries.Set(key, value)
		}
	case field.IsList():
		list := m.Mutable(field).List()
		for range g.size(rules, rules.GetRepeated().GetMinItems(), rules.GetRepeated().GetMaxItems()) {
			if field.Message() != nil {
				g.fill(list.AppendMutable().Message(), depth-1)
			} else {
				list.Append(g.scalar(field, rules.GetRepeated().GetItems()))
			}
		}
	case field.Message() != nil:
		g.fill(m.Mutable(field).Message(), depth-1)
	default:
		m.Set(field, g.scalar(field, rules))
	}
}

// size is a number of elements that rules allow.
func (g *generator) size(rules *validate.FieldRules, ruledLeast, ruledMost uint64) uint64 {
	least, most := uint64(0), uint64(3)
	if rules.GetRequired() {
		least = 1
	}
	if g.budget <= 0 {
		most = 1
	}
	return g.between(bounds(ruledLeast, ruledMost, least, most))
}

func (g *generator) between(least, most uint64) uint64 {
	return least + g.random.Uint64N(most-least+1)
}

// any fills an Any with a message of some type.
func (g *generator) any(m protoreflect.Message, depth int) {
	if depth <= 0 || g.budget <= 0 || len(g.held) == 0 {
		return
	}
	held := dynamicpb.NewMessage(g.held[g.random.IntN(len(g.held))])
	g.fill(held, depth-1)
	encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(held)
	if err != nil {
		g.t.Fatal(err)
	}
	put(m, 1, protoreflect.ValueOfString(typePrefix+string(held.Descriptor().FullName())))
	put(m, 2, protoreflect.ValueOfBytes(encoded))
}

func put(m protoreflect.Message, number protoreflect.FieldNumber, value protoreflect.Value) {
	m.Set(m.Descriptor().Fields().ByNumber(number), value)
}

// wellKnown fills the messages that JSON has a form of its own for.
var wellKnown map[protoreflect.FullName]func(g *generator, m protoreflect.Message, depth int)

func init() { //nolint:gochecknoinits // The functions refer to the map.
	wellKnown = map[protoreflect.FullName]func(*generator, protoreflect.Message, int){
		"google.protobuf.Any": (*generator).any,
		"google.protobuf.Timestamp": func(g *generator, m protoreflect.Message, _ int) {
			const first, last = -62135596800, 253402300799 // Year 1 to 9999.
			put(m, 1, protoreflect.ValueOfInt64(first+g.random.Int64N(last-first+1)))
			put(m, 2, protoreflect.ValueOfInt32(g.random.Int32N(1e9)))
		},
		"google.protobuf.Duration": func(g *generator, m protoreflect.Message, _ int) {
			sign := int64(g.random.IntN(2)*2 - 1)
			put(m, 1, protoreflect.ValueOfInt64(sign*g.random.Int64N(315576000000)))
			put(m, 2, protoreflect.ValueOfInt32(int32(sign)*g.random.Int32N(1e9)))
		},
		"google.protobuf.FieldMask": func(g *generator, m protoreflect.Message, _ int) {
			paths := m.Mutable(m.Descriptor().Fields().ByNumber(1)).List()
			for range g.random.IntN(3) {
				paths.Append(protoreflect.ValueOfString([]string{"a", "snake_case", "a.deeper_path.in_it"}[g.random.IntN(3)]))
			}
		},
		"google.protobuf.Value": func(g *generator, m protoreflect.Message, depth int) {
			kinds := m.Descriptor().Fields()
			kind := kinds.Get(g.random.IntN(kinds.Len()))
			if depth <= 0 && kind.Message() != nil {
				kind = kinds.ByName("bool_value")
			}
			if kind.Kind() == protoreflect.DoubleKind {
				m.Set(kind, protoreflect.ValueOfFloat64(g.random.NormFloat64()))
				return
			}
			g.set(m, kind, depth)
		},
	}
}

// text makes a string of so many characters, most of them plain.
func (g *generator) text(least, most uint64) string {
	const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789-_./ \"\\<>\n\u00e9\u4e16\U0001f600"
	characters := []rune(alphabet)
	var b strings.Builder
	for range g.between(least, most) {
		b.WriteRune(characters[g.random.IntN(len(characters))])
	}
	return b.String()
}

// integer makes an integer from one to another, often one of both or zero.
func (g *generator) integer(from, to int64) int64 {
	switch g.random.IntN(6) {
	case 0:
		return from
	case 1:
		return to
	case 2:
		if from <= 0 && to >= 0 {
			return 0
		}
	}
	return from + int64(g.random.Uint64()%(uint64(to-from)|1))
}

// float makes a number, also those that aren't.
func (g *generator) float() float64 {
	special := []float64{0, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), math.NaN(), math.MaxFloat32, math.SmallestNonzeroFloat32}
	if i := g.random.IntN(4 * len(special)); i < len(special) {
		return special[i]
	}
	return g.random.NormFloat64() * math.Pow10(g.random.IntN(20)-10)
}

func (g *generator) enum(of protoreflect.EnumDescriptor, defined bool) protoreflect.EnumNumber {
	// JSON writes each number of a NullValue as null.
	if of.FullName() != "google.protobuf.NullValue" && !of.IsClosed() && !defined && g.random.IntN(8) == 0 {
		return protoreflect.EnumNumber(100_000 + g.random.Int32N(1000)) // Nobody has named it yet.
	}
	return of.Values().Get(g.random.IntN(of.Values().Len())).Number()
}

func (g *generator) uuid() string {
	digits := func(n int) string {
		s := strconv.FormatUint(g.random.Uint64(), 16)
		return (strings.Repeat("0", 16) + s)[len(s)+16-n:]
	}
	return digits(8) + "-" + digits(4) + "-4" + digits(3) + "-8" + digits(3) + "-" + digits(12)
}
