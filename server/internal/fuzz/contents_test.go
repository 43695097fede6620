package fuzz

import (
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

const (
	typePrefix = "type.googleapis.com/"
	maxDepth   = 6
	maxValues  = 150
)

// generator makes random contents, the same for the same seed.
type generator struct {
	*rand.Rand

	types *universe // What an Any may hold, and extensions. nil: none.
	known *known    // What a request may refer to. nil: nothing.
	wild  int       // One of so many values is an odd one. 0: none.

	budget int // How many more values the message gets.
}

func newGenerator(seed, stream uint64) *generator {
	return &generator{Rand: rand.New(rand.NewPCG(seed, stream))} //nolint:gosec // Repeatable, not secret.
}

func pick[T any](g *generator, list ...T) T { return list[g.IntN(len(list))] }

// one reports whether something that happens one time in n happens.
func (g *generator) one(n int) bool { return n > 0 && g.IntN(n) == 0 }

// message makes a message of a type: where no odd values are wanted, one that
// obeys the rules of its type, if there is one among some.
func (g *generator) message(of protoreflect.MessageDescriptor) *dynamicpb.Message {
	g.budget = pick(g, 10, 40, maxValues)
	return g.valid(of, maxDepth)
}

func (g *generator) valid(of protoreflect.MessageDescriptor, depth int) (m *dynamicpb.Message) {
	budget := g.budget
	for range 10 {
		g.budget = budget
		m = dynamicpb.NewMessage(of)
		g.fill(m, depth)
		if g.wild > 0 || protovalidate.Validate(m) == nil {
			break
		}
	}
	return m
}

// needed reports whether a message without a field can't obey its rules.
func needed(field protoreflect.FieldDescriptor) bool {
	rules := fieldRules(field)
	return field.Cardinality() == protoreflect.Required || rules.GetRequired() || rules.GetString().GetMinLen() > 0 ||
		rules.GetRepeated().GetMinItems() > 0 || rules.GetMap().GetMinPairs() > 0 || rules.GetInt64().GetGte() > 0
}

func (g *generator) fill(m protoreflect.Message, depth int) {
	g.budget--
	of := m.Descriptor()
	if of.ParentFile().Package() == "google.protobuf" && g.fillWellKnown(m, depth) {
		return
	}
	chosen := g.choose(of, depth)
	for i := range of.Fields().Len() {
		field := of.Fields().Get(i)
		switch oneof := field.ContainingOneof(); {
		case g.one(g.wild):
			// Without what is required, or with two of a oneof, the last of which counts.
			if !g.one(2) {
				continue
			}
		case oneof != nil && !oneof.IsSynthetic():
			if !chosen[field] {
				continue
			}
		case !needed(field) && !g.chance(depth):
			continue
		}
		g.set(m, field, depth)
	}
	if g.types == nil {
		return
	}
	for _, extension := range g.types.extensions[of.FullName()] {
		if g.chance(depth) {
			g.set(m, extension.TypeDescriptor(), depth)
		}
	}
}

// choose returns the fields of oneofs that are set.
func (g *generator) choose(of protoreflect.MessageDescriptor, depth int) map[protoreflect.FieldDescriptor]bool {
	chosen := make(map[protoreflect.FieldDescriptor]bool)
	for i := range of.Oneofs().Len() {
		if fields := of.Oneofs().Get(i).Fields(); g.chance(depth) || g.known != nil && !g.one(8) {
			chosen[fields.Get(g.IntN(fields.Len()))] = true
		}
	}
	return chosen
}

// chance reports whether something optional is there.
func (g *generator) chance(depth int) bool {
	return depth > 0 && g.budget > 0 && g.IntN(maxDepth+1) <= depth
}

func (g *generator) set(m protoreflect.Message, field protoreflect.FieldDescriptor, depth int) {
	if g.budget < -maxValues {
		return // Required fields can go round in a circle.
	}
	switch {
	case field.IsMap():
		entries := m.Mutable(field).Map()
		for range g.size() {
			value := entries.NewValue()
			if field.MapValue().Message() != nil {
				g.fill(value.Message(), depth-1)
			} else {
				value = g.scalar(field.MapValue(), fieldRules(field).GetMap().GetValues())
			}
			entries.Set(g.scalar(field.MapKey(), fieldRules(field).GetMap().GetKeys()).MapKey(), value)
		}
	case field.IsList():
		list := m.Mutable(field).List()
		for range g.size() {
			if field.Message() != nil {
				g.fill(list.AppendMutable().Message(), depth-1)
			} else {
				list.Append(g.scalar(field, fieldRules(field).GetRepeated().GetItems()))
			}
		}
	case field.Message() != nil && field.Message().FullName() == "google.protobuf.FieldMask":
		g.mask(m, m.Mutable(field).Message())
	case field.Message() != nil && field.Message().FullName() == "google.protobuf.Duration":
		g.duration(m.Mutable(field).Message(), fieldRules(field).GetDuration())
	case field.Message() != nil:
		g.fill(m.Mutable(field).Message(), depth-1)
	default:
		m.Set(field, g.scalar(field, fieldRules(field)))
	}
}

// size is a number of elements: few, or, where odd values are wanted, many.
func (g *generator) size() int {
	switch {
	case g.one(g.wild) && g.one(10):
		return pick(g, 65, 257, 1001, 4097, 10001)
	case g.budget <= 0:
		return g.IntN(2)
	}
	return 1 + g.IntN(3)
}

func (g *generator) scalar(field protoreflect.FieldDescriptor, rules *validate.FieldRules) protoreflect.Value {
	g.budget--
	switch field.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(g.one(2))
	case protoreflect.EnumKind:
		values := field.Enum().Values()
		if !field.Enum().IsClosed() && g.one(g.wild) {
			return protoreflect.ValueOfEnum(pick[protoreflect.EnumNumber](g, -1, 77, math.MaxInt32, math.MinInt32))
		}
		return protoreflect.ValueOfEnum(values.Get(g.IntN(values.Len())).Number())
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(g.text(field, rules.GetString()))
	case protoreflect.BytesKind:
		if field.Name() == "image" && g.known != nil {
			image := pick(g, g.known.images...)
			if g.one(2) {
				image = g.damage(image)
			}
			return protoreflect.ValueOfBytes(image)
		}
		b := make([]byte, g.IntN(20))
		for i := range b {
			b[i] = byte(g.Uint32())
		}
		return protoreflect.ValueOfBytes(b)
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(float32(g.float()))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(g.float())
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(int32(g.integer(field, math.MinInt32, math.MaxInt32)))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(uint32(g.integer(field, 0, math.MaxUint32)))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(uint64(g.integer(field, math.MinInt64, math.MaxInt64)))
	default:
		return protoreflect.ValueOfInt64(g.integer(field, math.MinInt64, math.MaxInt64))
	}
}

func (g *generator) integer(field protoreflect.FieldDescriptor, least, most int64) int64 {
	if n, ok := g.known.number(g, field); ok && !g.one(g.wild) {
		return n
	}
	if g.one(4) || g.one(g.wild) {
		return pick(g, least, most, 0, -1&most, 1, least+1, most-1)
	}
	return g.Int64N(200)
}

// float makes a number, also those that aren't.
func (g *generator) float() float64 {
	if g.one(3) {
		return pick(g, 0, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), math.NaN(), math.MaxFloat32, math.MaxFloat64, math.SmallestNonzeroFloat64)
	}
	return float64(g.IntN(100)) / 8
}

// texts are tried where a pattern asks for one that nobody can guess.
var texts = []string{
	"a", "orders", "EUR", "ada@example.com", "TEA-1", "dhl", "0123456789abcdef", "https://example.com/a", "127.0.0.1", "example.com",
	"00000000-0000-4000-8000-000000000000", "shop.orders.v1.OrderPaid", "x1", "A", "/fuzz", "2026-01-01", "main", "a/b",
}

// oddTexts are refused somewhere, or ought to be carried as they are.
var oddTexts = []string{
	"", "\x00", "a\r\nb", "\u0085", "\ufffe", "\u2028", "e\u0301", "\U0001f600", "*", "a.b", "../..", "$G", ">", "a b", "%zz", "{}", "null",
	strings.Repeat("x", 64), strings.Repeat("é", 257), strings.Repeat("y", 5000), "true && ", "event.id == 'a'", "[1,2].all(x, [1,2].all(y, x < y))",
	"type.googleapis.com/google.protobuf.Any", "tidings.v1.Event", "google.protobuf.Timestamp",
}

var patterns sync.Map

func (g *generator) text(field protoreflect.FieldDescriptor, rules *validate.StringRules) string {
	if g.one(g.wild) {
		return pick(g, oddTexts...)
	}
	if text, ok := g.known.text(g, field); ok && !g.one(12) {
		return text
	}
	candidate := pick(g, texts...)
	if rules == nil || g.one(20) {
		return candidate
	}
	pattern, _ := patterns.LoadOrStore(rules.GetPattern(), sync.OnceValue(func() *regexp.Regexp {
		compiled, err := regexp.Compile(rules.GetPattern())
		if err != nil {
			return regexp.MustCompile("")
		}
		return compiled
	}))
	fits := func(text string) bool {
		return pattern.(func() *regexp.Regexp)().MatchString(text) && len(text) >= int(rules.GetMinLen()) && !slices.Contains(rules.GetNotIn(), text) &&
			(!rules.GetEmail() || strings.Contains(text, "@")) && (!rules.GetUuid() || len(text) == 36) && (!rules.GetUri() || strings.HasPrefix(text, "http"))
	}
	for _, i := range g.Perm(len(texts)) {
		if fits(texts[i]) {
			return texts[i]
		}
	}
	return candidate
}

// mask fills a field mask with paths into the messages beside it.
func (g *generator) mask(parent, mask protoreflect.Message) {
	paths := []string{"*", "a", "name"}
	fields := parent.Descriptor().Fields()
	for i := range fields.Len() {
		if of := fields.Get(i).Message(); of != nil && of != mask.Descriptor() {
			for j := range of.Fields().Len() {
				paths = append(paths, string(of.Fields().Get(j).Name()))
			}
		}
	}
	list := mask.Mutable(mask.Descriptor().Fields().ByNumber(1)).List()
	for range g.IntN(4) {
		list.Append(protoreflect.ValueOfString(pick(g, paths...)))
	}
}

// duration fills a duration, often with a bound of its rules.
func (g *generator) duration(m protoreflect.Message, rules *validate.DurationRules) {
	seconds := g.Int64N(5)
	if bounds := []int64{rules.GetGte().GetSeconds(), rules.GetLte().GetSeconds(), 1}; rules != nil && !g.one(4) {
		seconds = pick(g, bounds...)
	}
	nanos := pick(g, int32(0), g.Int32N(1e9))
	if g.one(g.wild) {
		seconds, nanos = pick[int64](g, -1, 0, math.MaxInt64, 315576000001, math.MinInt64), pick(g, int32(-1), 0, 1e9, math.MinInt32)
	}
	put(m, 1, protoreflect.ValueOfInt64(seconds))
	put(m, 2, protoreflect.ValueOfInt32(nanos))
}

// fillWellKnown fills a message that JSON has a form of its own for, and reports
// whether it is one.
func (g *generator) fillWellKnown(m protoreflect.Message, depth int) bool {
	switch m.Descriptor().Name() {
	case "Any":
		if depth > 0 && g.types != nil {
			g.any(m, depth)
		}
	case "Duration":
		g.duration(m, nil)
	case "Timestamp":
		seconds := pick[int64](g, 0, -62135596800, 253402300799, 1700000000, 1800000000)
		if g.one(g.wild) {
			seconds = pick[int64](g, -62135596801, 253402300800, math.MaxInt64, math.MinInt64)
		}
		put(m, 1, protoreflect.ValueOfInt64(seconds))
		put(m, 2, protoreflect.ValueOfInt32(g.Int32N(1e9)))
	case "Value":
		kinds := m.Descriptor().Fields()
		if kind := kinds.Get(g.IntN(kinds.Len())); kind.Kind() == protoreflect.DoubleKind && g.wild == 0 {
			m.Set(kind, protoreflect.ValueOfFloat64(1))
		} else if kind.Message() == nil || depth > 0 {
			g.set(m, kind, depth)
		} else {
			m.Set(kinds.ByName("bool_value"), protoreflect.ValueOfBool(true))
		}
	default:
		return false
	}
	return true
}

// any fills an Any with a message of a type that is known, or, where odd values
// are wanted, with something else.
func (g *generator) any(m protoreflect.Message, depth int) {
	held := g.valid(pick(g, g.types.messages...), depth-1)
	url, value := typePrefix+string(held.Descriptor().FullName()), encode(held)
	if g.one(g.wild) {
		switch g.IntN(6) {
		case 0:
			value = g.damage(value)
		case 1:
			url = pick(g, "", "x", "/", string(held.Descriptor().FullName()), typePrefix+"no.such.Type", typePrefix+"google.protobuf.Struct", "a//"+string(held.Descriptor().FullName()))
		case 2:
			for range pick(g, 1, 2, 49, 50, 98, 99, 100, 101, 400) {
				value = field(2, value, field(1, []byte(url), nil))
				url = typePrefix + "google.protobuf.Any"
			}
		default:
			value = append(value, pick(g, deepGroups, deepMessages, []byte{0xf8, 0x3f, 0x05}, []byte{0xfa, 0x3f, 0x01, 0xff})...)
		}
	}
	put(m, 1, protoreflect.ValueOfString(url))
	put(m, 2, protoreflect.ValueOfBytes(value))
}

func put(m protoreflect.Message, number protoreflect.FieldNumber, value protoreflect.Value) {
	m.Set(m.Descriptor().Fields().ByNumber(number), value)
}

// field appends a field of bytes.
func field(number protowire.Number, value, to []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(to, number, protowire.BytesType), value)
}

// encode encodes a message, whatever is missing in it.
func encode(m proto.Message) []byte {
	encoded, err := proto.MarshalOptions{AllowPartial: true, Deterministic: true}.Marshal(m)
	if err != nil {
		panic(err) // The generator makes text of UTF-8 only.
	}
	return encoded
}

// fieldRules are protovalidate's rules of a field, or nil.
func fieldRules(field protoreflect.FieldDescriptor) *validate.FieldRules {
	options, ok := field.Options().(*descriptorpb.FieldOptions)
	if !ok || !proto.HasExtension(options, validate.E_Field) {
		return nil
	}
	rules, _ := proto.GetExtension(options, validate.E_Field).(*validate.FieldRules)
	return rules
}
