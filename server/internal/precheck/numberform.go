package precheck

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// numberForm is what a number in an encoding stands for.
type numberForm uint8

const (
	int32Form numberForm = iota
	int64Form
	uint32Form
	uint64Form
	sint32Form
	sint64Form
	boolForm
	fixed32Form
	fixed64Form
	sfixed32Form
	sfixed64Form
	floatForm
	doubleForm
)

var numberForms = map[protoreflect.Kind]numberForm{
	protoreflect.Int32Kind: int32Form, protoreflect.EnumKind: int32Form, protoreflect.Int64Kind: int64Form,
	protoreflect.Uint32Kind: uint32Form, protoreflect.Uint64Kind: uint64Form,
	protoreflect.Sint32Kind: sint32Form, protoreflect.Sint64Kind: sint64Form, protoreflect.BoolKind: boolForm,
	protoreflect.Fixed32Kind: fixed32Form, protoreflect.Fixed64Kind: fixed64Form,
	protoreflect.Sfixed32Kind: sfixed32Form, protoreflect.Sfixed64Kind: sfixed64Form,
	protoreflect.FloatKind: floatForm, protoreflect.DoubleKind: doubleForm,
}

func (n numberForm) wire() protowire.Type {
	switch n {
	case fixed32Form, sfixed32Form, floatForm:
		return protowire.Fixed32Type
	case fixed64Form, sfixed64Form, doubleForm:
		return protowire.Fixed64Type
	default:
		return protowire.VarintType
	}
}

// value is what an encoded number stands for: an integer, sign-extended, or the
// bits of a double. It is false where encoders write it otherwise.
func (n numberForm) value(v uint64) (uint64, bool) {
	switch n {
	case int32Form:
		return v, int64(v) == int64(int32(v))
	case uint32Form:
		return v, v <= math.MaxUint32
	case sint32Form:
		return uint64(protowire.DecodeZigZag(v)), v <= math.MaxUint32
	case sint64Form:
		return uint64(protowire.DecodeZigZag(v)), true
	case boolForm:
		return v, v <= 1
	case sfixed32Form:
		return uint64(int64(int32(v))), true
	case floatForm:
		return math.Float64bits(float64(math.Float32frombits(uint32(v)))), true
	default: // As it is.
		return v, true
	}
}
