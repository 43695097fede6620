package precheck

import (
	"math"
	"slices"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"google.golang.org/protobuf/reflect/protoreflect"
)

const conditional = operators.Conditional

func fromBits(bits uint64) float64 { return math.Float64frombits(bits) }

// compile compiles an expression.
func (c *celRules) compile(e ast.Expr) typed {
	if reference := c.checked.ReferenceMap()[e.ID()]; reference != nil && reference.Value != nil {
		return literal(reference.Value) // Of an enum.
	}
	switch e.Kind() {
	case ast.LiteralKind:
		return literal(e.AsLiteral())
	case ast.IdentKind:
		return c.ident(e.AsIdent())
	case ast.SelectKind:
		return c.selected(e.AsSelect())
	case ast.CallKind:
		return c.call(e.AsCall())
	case ast.ComprehensionKind:
		return typed{bool: c.loop(e.AsComprehension())}
	default:
		return typed{}
	}
}

func constant[T any](value T) expr[T] { return func(*run) (T, bool) { return value, true } }

func literal(value ref.Val) typed {
	switch v := value.(type) {
	case types.Bool:
		return typed{bool: constant(bool(v))}
	case types.Int:
		return typed{int: constant(int64(v))}
	case types.Uint:
		return typed{uint: constant(uint64(v))}
	case types.Double:
		return typed{double: constant(float64(v))}
	case types.String:
		return typed{text: constant([]byte(v))}
	case types.Bytes:
		return typed{bytes: constant([]byte(v))}
	default:
		return typed{}
	}
}

func (c *celRules) ident(name string) typed {
	for _, v := range slices.Backward(c.vars) {
		if v.name == name {
			return v.of.value()
		}
	}
	switch name {
	case "this":
		return c.this.value()
	case "now":
		return typed{time: func(r *run) (instant, bool) { return r.clock(), true }}
	default:
		return typed{}
	}
}

// selected is a field of a message, or whether it is there.
func (c *celRules) selected(e ast.SelectExpr) typed {
	of := c.compile(e.Operand()).place
	if of == nil || !of.isMessage() || of.message.descriptor == nil {
		return typed{}
	}
	d := of.message.descriptor.Fields().ByName(protoreflect.Name(e.FieldName()))
	if d == nil {
		return typed{}
	}
	field := of.field(d)
	if field.get == nil {
		return typed{}
	}
	if !e.IsTestOnly() {
		return field.value()
	}
	return typed{bool: func(r *run) (bool, bool) {
		s, ok := field.get(r)
		return s.set, ok
	}}
}

// computed reports whether a duration is one of CEL's.
func (i instant) computed() bool { return i.seconds < maxComputed && i.seconds > -maxComputed }

// choose is one of two expressions.
func choose[T any](when expr[bool], then, otherwise expr[T]) expr[T] {
	return func(r *run) (none T, _ bool) {
		chosen, ok := when(r)
		switch {
		case !ok:
			return none, false
		case chosen:
			return then(r)
		default:
			return otherwise(r)
		}
	}
}
