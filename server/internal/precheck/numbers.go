package precheck

import (
	"cmp"
	"math"
	"slices"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// numberCheck returns the check of a field's numbers, which is nil where any is in
// order. It is false where a rule isn't known.
func numberCheck(d protoreflect.FieldDescriptor, rules *validate.FieldRules) (func(uint64) bool, bool) {
	standard := standardOf(rules)
	switch d.Kind() {
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return check(standard, math.Float64frombits, protoreflect.Value.Float, func(v float64) bool { return !math.IsNaN(v) })
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind, protoreflect.Fixed32Kind, protoreflect.Fixed64Kind:
		return check(standard, func(bits uint64) uint64 { return bits }, protoreflect.Value.Uint, nil)
	case protoreflect.BoolKind:
		return boolCheck(rules)
	case protoreflect.EnumKind:
		return enumCheck(d.Enum(), standard)
	default:
		return check(standard, func(bits uint64) int64 { return int64(bits) }, protoreflect.Value.Int, nil)
	}
}

// numberRules are those of numbers of a kind.
type numberRules[T cmp.Ordered] struct {
	bounds[T]
	wanted    []T // Not empty: it has to be one of them.
	unwanted  []T
	constant  *T
	ordered   func(T) bool // It is in some order with bounds. nil: any is.
	finite    bool
	undecided bool
}

// check returns the check of numbers by what their bits stand for.
func check[T cmp.Ordered](standard protoreflect.Message, from func(uint64) T, of func(protoreflect.Value) T, ordered func(T) bool) (func(uint64) bool, bool) {
	if standard == nil {
		return nil, true
	}
	rules := &numberRules[T]{bounds: bounds[T]{compare: cmp.Compare[T]}, ordered: ordered}
	eachRule(standard.Interface(), func(name protoreflect.Name, value protoreflect.Value) { rules.add(name, value, of) })
	if rules.undecided || rules.some() && ordered != nil && (!ordered(rules.low) || !ordered(rules.high)) {
		return nil, false
	}
	bounded := rules.some()
	if bounded && ordered == nil && rules.constant == nil && rules.wanted == nil && rules.unwanted == nil {
		return func(bits uint64) bool { return rules.holds(from(bits)) }, true
	}
	return func(bits uint64) bool {
		v := from(bits)
		switch {
		case rules.constant != nil && v != *rules.constant,
			rules.wanted != nil && !slices.Contains(rules.wanted, v),
			rules.unwanted != nil && slices.Contains(rules.unwanted, v),
			rules.finite && !finite(bits),
			bounded && (ordered != nil && !ordered(v) || !rules.holds(v)):
			return false
		default:
			return true
		}
	}, true
}

func (r *numberRules[T]) add(name protoreflect.Name, value protoreflect.Value, of func(protoreflect.Value) T) {
	switch name {
	case "const":
		r.constant = new(of(value))
	case "in":
		r.wanted = listOf(value, of)
	case "not_in":
		r.unwanted = listOf(value, of)
	case "finite":
		r.finite = value.Bool()
	case "gt", "gte", "lt", "lte":
		r.bound(string(name), of(value))
	default:
		r.undecided = true
	}
}

func listOf[T any](value protoreflect.Value, of func(protoreflect.Value) T) (all []T) {
	list := value.List()
	for i := range list.Len() {
		all = append(all, of(list.Get(i)))
	}
	return all
}

func boolCheck(of *validate.FieldRules) (func(uint64) bool, bool) {
	rules := of.GetBool()
	if rules == nil {
		return nil, true
	}
	if !rules.HasConst() {
		return nil, true
	}
	wanted := rules.GetConst()
	return func(bits uint64) bool { return bits != 0 == wanted }, true
}

// enumCheck is that of numbers of an enum. Those that a closed one lacks are refused,
// whatever the rules say.
func enumCheck(enum protoreflect.EnumDescriptor, standard protoreflect.Message) (func(uint64) bool, bool) {
	defined := enum.IsClosed()
	rules := &numberRules[int64]{}
	if standard != nil {
		eachRule(standard.Interface(), func(name protoreflect.Name, value protoreflect.Value) {
			if name == "defined_only" {
				defined = defined || value.Bool()
				return
			}
			rules.add(name, value, protoreflect.Value.Int)
		})
	}
	if rules.undecided || rules.some() {
		return nil, false
	}
	if !defined && rules.constant == nil && rules.wanted == nil && rules.unwanted == nil {
		return nil, true
	}
	numbers := make(map[int64]bool)
	for i := range enum.Values().Len() {
		numbers[int64(enum.Values().Get(i).Number())] = true
	}
	dense := int64(0) // Each number below it is there.
	for numbers[dense] {
		dense++
	}
	return func(bits uint64) bool {
		v := int64(bits)
		switch {
		case defined && (v < 0 || v >= dense) && !numbers[v],
			rules.constant != nil && v != *rules.constant,
			rules.wanted != nil && !slices.Contains(rules.wanted, v),
			rules.unwanted != nil && slices.Contains(rules.unwanted, v):
			return false
		default:
			return true
		}
	}, true
}
