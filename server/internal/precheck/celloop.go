package precheck

import (
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// loop compiles all, exists and exists_one over a list, or the keys of a map. It is
// nil for others.
func (c *celRules) loop(e ast.ComprehensionExpr) expr[bool] {
	of := c.compile(e.IterRange()).place
	at := len(c.vars)
	if of == nil || !of.isList() && !of.isMap() || at == maxVars || e.HasIterVar2() {
		return nil
	}
	macro, predicate := macroOf(e)
	if predicate == nil {
		return nil
	}
	c.vars = append(c.vars, variable{e.IterVar(), of.elementAt(func(r *run) (slot, bool) { return r.vars[at], true })})
	holds := c.compile(predicate).bool
	c.vars = c.vars[:at]
	if holds == nil {
		return nil
	}
	list := of.get
	return func(r *run) (bool, bool) {
		s, ok := list(r)
		if !ok {
			return false, false
		}
		found := 0
		for n, next := 0, s.first(); n < int(s.extra); n++ {
			i := r.items[next]
			next = int(i.next)
			r.vars[at] = of.met(r, i)
			value, ok := holds(r)
			switch {
			case !ok:
				return false, false
			case value && macro == operators.Exists:
				return true, true
			case !value && macro == operators.All:
				return false, true
			case value:
				found++
			}
		}
		return macro == operators.All || macro == operators.ExistsOne && found == 1, true
	}
}

// macroOf returns which macro a loop was made of, and its predicate. That is nil for
// another loop.
func macroOf(e ast.ComprehensionExpr) (macro string, predicate ast.Expr) {
	step := e.LoopStep()
	if step.Kind() != ast.CallKind {
		return "", nil
	}
	args := step.AsCall().Args()
	switch step.AsCall().FunctionName() {
	case operators.LogicalAnd:
		if isLiteral(e.AccuInit(), types.True) && isAccu(args[0], e) && isAccu(e.Result(), e) {
			return operators.All, args[1]
		}
	case operators.LogicalOr:
		if isLiteral(e.AccuInit(), types.False) && isAccu(args[0], e) && isAccu(e.Result(), e) {
			return operators.Exists, args[1]
		}
	case operators.Conditional:
		result := e.Result()
		if isLiteral(e.AccuInit(), types.Int(0)) && isAccu(args[2], e) && isCall(args[1], operators.Add, e) && isCall(result, operators.Equals, e) {
			return operators.ExistsOne, args[0]
		}
	default:
	}
	return "", nil
}

func isLiteral(e ast.Expr, value any) bool {
	return e.Kind() == ast.LiteralKind && e.AsLiteral() == value
}

func isAccu(e ast.Expr, of ast.ComprehensionExpr) bool {
	return e.Kind() == ast.IdentKind && e.AsIdent() == of.AccuVar()
}

// isCall reports whether an expression is a call with what a loop gathers and 1.
func isCall(e ast.Expr, function string, of ast.ComprehensionExpr) bool {
	if e.Kind() != ast.CallKind || e.AsCall().FunctionName() != function {
		return false
	}
	args := e.AsCall().Args()
	return len(args) == 2 && isAccu(args[0], of) && isLiteral(args[1], types.Int(1))
}

// member is whether a value is in a list, of literals or of a field, or a key of a map.
func (c *celRules) member(value, list ast.Expr) expr[bool] {
	at := len(c.vars)
	c.vars = append(c.vars, variable{}) // Loops in the value have others.
	of := c.compile(value)
	c.vars = c.vars[:at]
	if list.Kind() == ast.ListKind {
		var all []expr[bool]
		for _, one := range list.AsList().Elements() {
			equal := compared(operators.Equals, comparisons[operators.Equals], of, c.compile(one))
			if equal == nil {
				return nil
			}
			all = append(all, equal)
		}
		if len(all) == 0 {
			return nil
		}
		return anyOf(all)
	}
	in := c.compile(list).place
	if in == nil || !in.isList() && !in.isMap() || at == maxVars {
		return nil
	}
	element := in.elementAt(func(r *run) (slot, bool) { return r.vars[at], true })
	equal := compared(operators.Equals, comparisons[operators.Equals], of, element.value())
	if equal == nil {
		return nil
	}
	return func(r *run) (bool, bool) {
		s, ok := in.get(r)
		if !ok {
			return false, false
		}
		if s.extra == 0 { // The value has to be sure all the same.
			r.vars[at] = slot{}
			_, ok = equal(r)
			return false, ok
		}
		for n, next := 0, s.first(); n < int(s.extra); n++ {
			i := r.items[next]
			next = int(i.next)
			r.vars[at] = in.met(r, i)
			if value, ok := equal(r); !ok || value {
				return value, ok
			}
		}
		return false, true
	}
}

// anyOf is whether one of some comparisons holds. All of them have to be sure.
func anyOf(all []expr[bool]) expr[bool] {
	return func(r *run) (found, ok bool) {
		for _, one := range all {
			value, ok := one(r)
			if !ok {
				return false, false
			}
			found = found || value
		}
		return found, true
	}
}

// indexed is the element of a list at a place that is a literal.
func (c *celRules) indexed(list, index ast.Expr) typed {
	of := c.compile(list).place
	if of == nil || !of.isList() || index.Kind() != ast.LiteralKind {
		return typed{}
	}
	wanted, ok := index.AsLiteral().(types.Int)
	if !ok {
		return typed{}
	}
	return of.elementAt(func(r *run) (slot, bool) {
		s, ok := of.get(r)
		if !ok || wanted < 0 || wanted >= types.Int(s.extra) {
			return slot{}, false
		}
		next := s.first()
		for range wanted {
			next = int(r.items[next].next)
		}
		return of.met(r, r.items[next]), true
	}).value()
}
